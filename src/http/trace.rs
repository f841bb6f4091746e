//! One trace a request of somebody who is let in, of `/v1`. Its span is the parent of what is done for it, here and at a worker.

use axum::extract::Request;
use axum::http::HeaderMap;
use axum::middleware::Next;
use axum::response::Response;
use tracing::{Instrument, Span, field};

use super::guard::Caller;
use super::served::template;

/// Amazon's load balancers pass the caller's trace on in it.
const HEADER: &str = "x-amzn-trace-id";

/// Behind whoever lets in: a stranger's header decides on nothing.
pub async fn trace(request: Request, next: Next) -> Response {
    let Some(span) = span(&request) else { return next.run(request).await };
    let mut open = Open { span, answered: false };
    let response = next.run(request).instrument(open.span.clone()).await;
    open.answered = true;
    open.span.record("status", response.status().as_str());
    response
}

/// A request that is being answered. Dropped before, it was too late, or its caller left.
struct Open {
    span: Span,
    answered: bool,
}

impl Drop for Open {
    fn drop(&mut self) {
        if !self.answered {
            self.span.record("status", "none");
        }
    }
}

/// Of a request with a caller; what balancers, browsers and Prometheus ask by the minute is no trace.
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
