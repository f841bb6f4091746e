//! Telemetry of a fleet's workers: traces, metrics and logs, and their exporters.
//!
//! One trace an image; a batch's span is linked to its images and child of none. Metrics come from one place
//! ([`metrics::samples`]) and go out as lines for CloudWatch ([`emf`]), as OTLP ([`meters`]) and as a page for Prometheus
//! ([`prometheus`]).

pub mod emf;
mod init;
pub mod logs;
pub mod meters;
pub mod metric_exporters;
pub mod metrics;
pub mod names;
mod otlp;
mod process_metrics;
pub mod prometheus;
pub mod signer;
pub mod xray;

use opentelemetry::Context;
use opentelemetry::trace::TraceContextExt;
use tracing_opentelemetry::OpenTelemetrySpanExt;

pub use init::{Telemetry, TelemetryError, TraceLayer};
pub use process_metrics::{CacheCounts, CardReading, ModelRuns, ProcessMetrics, RouteAnswers};

/// Makes a span the child of the remote span that an `AWSTraceHeader` names. Call it before the span is entered and before
/// it has children: a span that has begun keeps its parent. What names no span changes nothing.
pub fn adopt(span: &tracing::Span, header: &str) {
    if let Some(parent) = xray::from_header(header) {
        let parent = Context::new().with_remote_span_context(parent);
        // No layer is there where nothing is traced.
        let _ = span.set_parent(parent);
    }
}

/// The `AWSTraceHeader` that makes the receiver of a message continue this span's trace; `None` where it is not traced.
pub fn header(span: &tracing::Span) -> Option<String> {
    xray::to_header(span.context().span().span_context())
}
