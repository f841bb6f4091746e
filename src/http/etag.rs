//! Answers with 304 where the caller has the current answer already (RFC 9110, section 13).

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::header::{self, HeaderValue};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::problem::Problem;

/// Longest answer in bytes: a page of a list.
const LONGEST: usize = 64 << 20;

/// Tags the answers to `GET` with a digest of their content.
pub async fn etag(request: Request, next: Next) -> Response {
    let reads = request.method() == Method::GET;
    let known = request.headers().get(header::IF_NONE_MATCH).cloned();
    let response = next.run(request).await;
    let kind = response.headers().get(header::CONTENT_TYPE).cloned();
    let whole = kind.is_some_and(|kind| kind != "text/event-stream");
    if !reads || response.status() != StatusCode::OK || !whole {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let Ok(bytes) = to_bytes(body, LONGEST).await else {
        return Problem::broken("an answer that is too long").into_response();
    };
    let tag = format!("\"{}\"", &blake3::hash(&bytes).to_hex()[..32]);
    let matches = known.as_ref().and_then(|known| known.to_str().ok()).is_some_and(|known| is_among(known, &tag));
    if let Ok(value) = HeaderValue::from_str(&tag) {
        parts.headers.insert(header::ETAG, value);
    }
    // A browser may keep the answer, and asks each time whether it is still current.
    parts.headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("private, no-cache"));
    if matches {
        parts.status = StatusCode::NOT_MODIFIED;
        parts.headers.remove(header::CONTENT_TYPE);
        return Response::from_parts(parts, Body::empty());
    }
    Response::from_parts(parts, Body::from(bytes))
}

/// Tells whether a tag is in a list, by the weak comparison of section 13.1.2.
fn is_among(known: &str, tag: &str) -> bool {
    known.split(',').map(str::trim).any(|one| one == "*" || one.strip_prefix("W/").unwrap_or(one) == tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_found_among_others_weak_or_not() {
        for (known, expected) in
            [("\"a\"", true), ("\"b\", W/\"a\"", true), ("*", true), ("\"b\"", false), ("a", false)]
        {
            assert_eq!(is_among(known, "\"a\""), expected, "{known}");
        }
    }
}
