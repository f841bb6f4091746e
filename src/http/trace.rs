//! Starts one trace for each authenticated request of `/v1`. Its span is the parent of the work for it, here and in a worker.

use axum::extract::Request;
use axum::http::HeaderMap;
use axum::middleware::Next;
use axum::response::Response;
use tracing::{Instrument, Span, field};

use super::guard::Caller;
use super::http_metrics::template;

/// Header in which Amazon's load balancers pass on the caller's trace.
const HEADER: &str = "x-amzn-trace-id";

/// Runs after authentication, so unauthenticated clients cannot set trace headers.
pub async fn trace(request: Request, next: Next) -> Response {
    let Some(span) = span(&request) else { return next.run(request).await };
    let mut open = OpenRequest { span, answered: false };
    let response = next.run(request).instrument(open.span.clone()).await;
    open.answered = true;
    open.span.record("status", response.status().as_str());
    response
}

/// A request that is being answered. One that is dropped before its answer timed out, or its caller disconnected.
struct OpenRequest {
    span: Span,
    answered: bool,
}

impl Drop for OpenRequest {
    fn drop(&mut self) {
        if !self.answered {
            self.span.record("status", "none");
        }
    }
}

/// Creates a span for an authenticated API request; health checks and scrapes are not traced.
fn span(request: &Request) -> Option<Span> {
    request.extensions().get::<Caller>()?;
    let (route, method) = (template(request), request.method().as_str());
    if !route.starts_with("/v1/") {
        return None;
    }
    let span =
        tracing::debug_span!(parent: None, "server.answer", route, method, status = field::Empty, otel.kind = "server");
    if let Some(header) = header(request.headers()) {
        muster_telemetry::adopt(&span, header);
    }
    Some(span)
}

fn header(headers: &HeaderMap) -> Option<&str> {
    headers.get(HEADER)?.to_str().ok()
}
