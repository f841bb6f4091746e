//! The settings of traces, metrics and logs of a fleet's workers and web servers.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Settings;

/// Destinations of traces, metrics and logs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Telemetry {
    /// Target of traces; with `otlp`, metrics are sent there too.
    pub traces: Traces,
    /// Address of the collector; empty uses the usual port on this machine. With `xray`, it replaces Amazon's own
    /// address.
    pub otlp_endpoint: String,
    /// Protocol of the collector.
    pub otlp_protocol: OtlpProtocol,
    /// Share of the images and requests that are traced, 0 to 1, where the sender has not decided.
    pub sample_ratio: f64,
    /// Whether metrics are written to standard output for CloudWatch, once a minute.
    pub emf: bool,
    /// Address of the page for Prometheus, or only its port on this machine; empty serves none.
    pub metrics_listen: String,
    /// Format of log lines.
    pub log_format: LogFormat,
    /// Log group that metrics for CloudWatch name; empty names none.
    pub log_group: String,
}

/// The target of traces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Traces {
    /// Traces are not sent.
    Off,
    /// Spans are sent to a collector that speaks OTLP.
    Otlp,
    /// Spans are sent to X-Ray, without a collector.
    Xray,
}

/// The protocol of the collector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OtlpProtocol {
    /// gRPC without TLS, usually on port 4317.
    Grpc,
    /// Protocol buffers over HTTP, usually on port 4318.
    Http,
}

/// The format of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Text for people.
    Text,
    /// One JSON object for each line.
    Json,
}

/// Checks that the figures are within their ranges.
pub(super) fn ranges(settings: &Settings, range: &mut impl FnMut(&str, f64, f64, f64)) {
    range("telemetry.sample_ratio", settings.telemetry.sample_ratio, 0.0, 1.0);
}
