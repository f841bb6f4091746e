//! The settings of traces, metrics and logs of a fleet's workers and web servers.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Settings;

/// Where traces, metrics and logs go.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Telemetry {
    /// Where traces go; `otlp` takes metrics along.
    pub traces: Traces,
    /// Address of the collector; empty takes its usual port on this machine. With `xray`: instead of Amazon's own.
    pub otlp_endpoint: String,
    /// How the collector is spoken to.
    pub otlp_protocol: OtlpProtocol,
    /// Share of the images and requests that are traced, 0 to 1, where whoever sent them has not decided.
    pub sample_ratio: f64,
    /// Whether metrics are written to standard output for CloudWatch, once a minute.
    pub emf: bool,
    /// Address of the page for Prometheus, or its port alone on this machine; empty has none.
    pub metrics_listen: String,
    /// How log lines look.
    pub log_format: LogFormat,
    /// Log group that metrics for CloudWatch name; empty names none.
    pub log_group: String,
}

/// Where traces go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Traces {
    /// Nowhere.
    Off,
    /// To a collector that speaks OTLP.
    Otlp,
    /// To X-Ray, without a collector.
    Xray,
}

/// How the collector is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OtlpProtocol {
    /// gRPC without TLS, usually on port 4317.
    Grpc,
    /// Protocol buffers over HTTP, usually on port 4318.
    Http,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Checks that the figures are within their ranges.
pub(super) fn ranges(settings: &Settings, range: &mut impl FnMut(&str, f64, f64, f64)) {
    range("telemetry.sample_ratio", settings.telemetry.sample_ratio, 0.0, 1.0);
}
