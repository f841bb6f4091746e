//! Allows pages of the origins that the settings name, and no others. Only a service with API keys has any: without keys,
//! a foreign page would act with the trust that this machine has.

use std::time::Duration;

use axum::http::{HeaderName, HeaderValue, Method, Uri, header};
use tower_http::cors::CorsLayer;

/// Time for which a browser may keep the answer to a preflight request.
const AGE: Duration = Duration::from_secs(600);

/// Parses origins as browsers write them: `https://photos.example https://localhost:3000`.
///
/// # Errors
/// A text that is not an origin, with what one looks like.
pub fn origins(text: &str) -> Result<Vec<HeaderValue>, String> {
    text.split_whitespace().map(origin).collect()
}

fn origin(text: &str) -> Result<HeaderValue, String> {
    let wrong =
        || format!("serve.cors has {text:?}, wanted is an origin as https://photos.example: scheme, host and port");
    let uri: Uri = text.parse().map_err(|_| wrong())?;
    let (scheme, authority) = uri.scheme_str().zip(uri.authority()).ok_or_else(wrong)?;
    let named = match scheme {
        "http" => uri.port_u16() != Some(80),
        "https" => uri.port_u16() != Some(443),
        _ => false,
    };
    // Browsers send lower case, no path, not even its slash, and no default port.
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-:[]".contains(&byte);
    if !named || !authority.as_str().bytes().all(plain) || text != format!("{scheme}://{authority}") {
        return Err(wrong());
    }
    HeaderValue::from_str(text).map_err(|_| wrong())
}

/// Builds the layer that tells browsers which origins may send requests, and which headers of an answer they may read.
pub fn cors(origins: Vec<HeaderValue>) -> CorsLayer {
    CorsLayer::new()
        .allow_origin(origins)
        .allow_methods([Method::GET, Method::POST, Method::PATCH, Method::DELETE])
        .allow_headers([
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            header::IF_NONE_MATCH,
            HeaderName::from_static("idempotency-key"),
        ])
        .expose_headers([header::ETAG, header::RETRY_AFTER])
        .max_age(AGE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_scheme_host_and_port_and_nothing_else() {
        for (text, count) in [
            ("", Some(0)),
            ("https://photos.example", Some(1)),
            (" https://photos.example  http://localhost:3000 ", Some(2)),
            ("https://photos.example/", None),
            ("https://photos.example/a", None),
            ("https://Photos.example", None),
            ("https://photos.example:443", None),
            ("http://photos.example:80", None),
            ("http://photos.example:443", Some(1)),
            ("https://me@photos.example", None),
            ("photos.example", None),
            ("ftp://photos.example", None),
            ("*", None),
            ("null", None),
            ("https://a.example, https://b.example", None),
        ] {
            assert_eq!(origins(text).ok().map(|all| all.len()), count, "{text:?}");
        }
    }
}
