//! Telemetry of a fleet's workers and web servers: traces, metrics and logs, with their exporters. The programs start
//! it from the settings ([`Telemetry`]) and give it the progress of their pipeline. It measures nothing itself and
//! never writes faces, vectors or names.
//!
//! ```text
//! progress of a pipeline, metrics of the process ─ metrics::samples ─┬─ emf ─────────► log lines for CloudWatch
//!                                                                    ├─ meters ──────► OTLP collector
//!                                                                    └─ prometheus ──► page for Prometheus
//! spans ─┬─► OTLP collector
//!        └─ signer ─► X-Ray
//! events ─ logs ─► standard error
//! ```
//!
//! Each image has one trace. The span of a batch is linked to its images, and has no parent.

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

/// Makes a span the child of the remote span that an `AWSTraceHeader` names. Call it before the span is entered and
/// before it has children: a span that has begun keeps its parent. A header that names no span changes nothing.
pub fn adopt(span: &tracing::Span, header: &str) {
    if let Some(parent) = xray::from_header(header) {
        let parent = Context::new().with_remote_span_context(parent);
        // If nothing is traced, no layer exists that could take the parent.
        let _ = span.set_parent(parent);
    }
}

/// Returns the `AWSTraceHeader` by which the receiver of a message continues this span's trace; `None` where the span
/// is not traced.
pub fn header(span: &tracing::Span) -> Option<String> {
    xray::to_header(span.context().span().span_context())
}
