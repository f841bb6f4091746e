//! Creates the exporters that use OTLP: to a collector over gRPC or HTTP, or directly to X-Ray.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_credential_types::provider::SharedCredentialsProvider;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{
    ExporterBuildError, MetricExporter, Protocol, SpanExporter, WithExportConfig, WithHttpConfig,
};
use tokio::runtime::Handle;

use super::init::TelemetryError;
use super::signer::{LIMIT, SignedClient};
use super::xray;
use muster_config::{OtlpProtocol, Settings, Traces};

/// Time limit of an export, because a drain has only seconds.
const TIMEOUT: Duration = Duration::from_secs(5);

/// An HTTP client that sends on a runtime, because the SDK exports from threads that have none.
#[derive(Debug)]
struct RuntimeClient<C> {
    client: Arc<C>,
    runtime: Handle,
}

#[async_trait]
impl<C: HttpClient + 'static> HttpClient for RuntimeClient<C> {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let client = Arc::clone(&self.client);
        self.runtime.spawn(async move { client.send_bytes(request).await }).await?
    }
}

/// Creates the exporter of traces; `None` where they are not sent.
pub(super) fn spans(
    settings: &Settings,
    credentials: SharedCredentialsProvider,
    runtime: &Handle,
) -> Result<Option<SpanExporter>, TelemetryError> {
    // tonic needs the runtime when it creates its channel.
    let _entered = runtime.enter();
    let telemetry = &settings.telemetry;
    let exporter = match (telemetry.traces, telemetry.otlp_protocol) {
        (Traces::Off, _) => return Ok(None),
        (Traces::Xray, _) => {
            let region = &settings.fleet.region;
            let client = SignedClient::new(http()?, region, credentials);
            let url = match telemetry.otlp_endpoint.as_str() {
                "" => xray::endpoint(region),
                url => with_path(url, "/v1/traces"),
            };
            SpanExporter::builder()
                .with_http()
                .with_http_client(RuntimeClient { client: Arc::new(client), runtime: runtime.clone() })
                .with_protocol(Protocol::HttpBinary)
                .with_max_request_body_size(LIMIT)
                .with_endpoint(url)
                .with_timeout(TIMEOUT)
                .build()?
        }
        (Traces::Otlp, OtlpProtocol::Grpc) => {
            let builder = SpanExporter::builder().with_tonic().with_timeout(TIMEOUT);
            addressed(builder, &telemetry.otlp_endpoint, "").build()?
        }
        (Traces::Otlp, OtlpProtocol::Http) => {
            let client = RuntimeClient { client: Arc::new(http()?), runtime: runtime.clone() };
            let builder = SpanExporter::builder().with_http().with_http_client(client).with_timeout(TIMEOUT);
            let builder = builder.with_protocol(Protocol::HttpBinary);
            addressed(builder, &telemetry.otlp_endpoint, "/v1/traces").build()?
        }
    };
    Ok(Some(exporter))
}

/// Creates the OTLP exporter of metrics; `None` where they are not sent as OTLP.
pub(super) fn metrics(settings: &Settings, runtime: &Handle) -> Result<Option<MetricExporter>, TelemetryError> {
    let _entered = runtime.enter();
    let telemetry = &settings.telemetry;
    let exporter = match (telemetry.traces, telemetry.otlp_protocol) {
        (Traces::Off | Traces::Xray, _) => return Ok(None),
        (Traces::Otlp, OtlpProtocol::Grpc) => {
            let builder = MetricExporter::builder().with_tonic().with_timeout(TIMEOUT);
            addressed(builder, &telemetry.otlp_endpoint, "").build()?
        }
        (Traces::Otlp, OtlpProtocol::Http) => {
            let client = RuntimeClient { client: Arc::new(http()?), runtime: runtime.clone() };
            let builder = MetricExporter::builder().with_http().with_http_client(client).with_timeout(TIMEOUT);
            let builder = builder.with_protocol(Protocol::HttpBinary);
            addressed(builder, &telemetry.otlp_endpoint, "/v1/metrics").build()?
        }
    };
    Ok(Some(exporter))
}

/// Creates a client that follows no redirects, because a signature is for one address.
fn http() -> Result<reqwest::Client, TelemetryError> {
    let builder = reqwest::Client::builder().timeout(TIMEOUT).redirect(reqwest::redirect::Policy::none());
    builder.build().map_err(|error| TelemetryError::Exporter(ExporterBuildError::InternalFailure(error.to_string())))
}

/// Sets the address; without one, OpenTelemetry's own variables and defaults apply.
fn addressed<B: WithExportConfig>(builder: B, endpoint: &str, path: &str) -> B {
    if endpoint.is_empty() { builder } else { builder.with_endpoint(with_path(endpoint, path)) }
}

/// Returns the address of one signal below the collector's.
fn with_path(endpoint: &str, path: &str) -> String {
    let base = endpoint.trim_end_matches('/');
    if base.ends_with(path) { base.to_owned() } else { format!("{base}{path}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_a_signal_is_added_once() {
        for (endpoint, path, expected) in [
            ("http://c:4318", "/v1/traces", "http://c:4318/v1/traces"),
            ("http://c:4318/", "/v1/traces", "http://c:4318/v1/traces"),
            ("http://c:4318/v1/traces", "/v1/traces", "http://c:4318/v1/traces"),
            ("http://c:4317/", "", "http://c:4317"),
        ] {
            assert_eq!(with_path(endpoint, path), expected);
        }
    }
}
