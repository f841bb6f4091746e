//! Reads and discards the rest of a request's body after a refusal, for a while. Otherwise the connection would be reset
//! before the caller has read the answer (RFC 9112, section 9.6).

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use futures_util::StreamExt;
use futures_util::stream::unfold;
use tokio::sync::Mutex;
use tokio::time::timeout;

/// Most bytes that are discarded of one request.
const BYTES: usize = 64 << 20;
/// Longest time in which no byte of a body comes.
const SILENCE: Duration = Duration::from_secs(10);
/// Longest time for which the rest of a body is read.
const BODY_TIMEOUT: Duration = Duration::from_secs(5);

/// Wraps every layer that may refuse a request, and drains the body of a refused one.
pub async fn drain_body(request: Request, next: Next) -> Response {
    let headers = request.headers();
    if !headers.contains_key(header::CONTENT_LENGTH) && !headers.contains_key(header::TRANSFER_ENCODING) {
        return next.run(request).await;
    }
    let (parts, body) = request.into_parts();
    let body = Arc::new(Mutex::new(body.into_data_stream()));
    let theirs = unfold(Arc::clone(&body), |body| async move {
        let next = async { body.lock().await.next().await };
        let chunk = match timeout(SILENCE, next).await {
            Ok(chunk) => chunk?,
            Err(_) => Err(axum::Error::new(io::Error::new(io::ErrorKind::TimedOut, "the body stopped coming"))),
        };
        Some((chunk, body))
    });
    let response = next.run(Request::from_parts(parts, Body::from_stream(theirs))).await;
    // A body that was too slow for its time limit will not be quicker now.
    if !response.status().is_success() && response.status() != StatusCode::SERVICE_UNAVAILABLE {
        let rest = async {
            let (mut body, mut left) = (body.lock().await, BYTES);
            while let Some(Ok(chunk)) = body.next().await {
                left = left.saturating_sub(chunk.len());
                if left == 0 {
                    break;
                }
            }
        };
        // After the timeout the connection is closed.
        let _ = timeout(BODY_TIMEOUT, rest).await;
    }
    response
}
