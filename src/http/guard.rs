//! Checks keys, roles, hosts, rates and time limits in front of every route.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{ConnectInfo, MatchedPath, Request, State};
use axum::http::header::{self, HeaderName, HeaderValue};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use tower_http::cors::CorsLayer;

use super::cors::cors;
use super::idempotency::RecentAnswers;
use super::keys::{Keys, Role};
use super::problem::Problem;
use super::watched_keys::WatchedKeys;

/// Keys and limits of a service.
pub struct Guard {
    keys: WatchedKeys,
    /// A service without keys accepts requests of its own pages only. Otherwise any page on the web could use the service
    /// through the browser of the person who runs it.
    listen: SocketAddr,
    rate: Option<DefaultKeyedRateLimiter<String>>,
    limit: Duration,
    pages: Vec<HeaderValue>,
    answers: Arc<RecentAnswers>,
}

/// The caller of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Caller {
    /// Name of the key, or the address where there are no keys.
    pub name: String,
    /// What the caller may do.
    pub role: Role,
}

impl Guard {
    /// Creates a guard for a service at `listen`. A caller has `per_minute` requests, 0 without a limit; an answer has `limit`.
    pub fn new(keys: Keys, listen: SocketAddr, per_minute: u32, limit: Duration) -> Self {
        let rate = NonZeroU32::new(per_minute).map(|count| RateLimiter::keyed(Quota::per_minute(count)));
        Self { keys: WatchedKeys::new(keys), listen, rate, limit, pages: Vec::new(), answers: Arc::default() }
    }

    /// Allows pages of these origins to send requests too, with a key.
    pub fn with_pages(self, pages: Vec<HeaderValue>) -> Self {
        Self { pages, ..self }
    }

    /// Returns the answers to requests with an idempotency key. They outlive a service's parts, as the guard does.
    pub(super) fn answers(&self) -> Arc<RecentAnswers> {
        Arc::clone(&self.answers)
    }

    /// Returns the layer that tells browsers which origins are allowed; `None` where no other origin is.
    pub(super) fn cors(&self) -> Option<CorsLayer> {
        (!self.pages.is_empty()).then(|| cors(self.pages.clone()))
    }

    pub(super) fn needs_keys(&self) -> bool {
        !self.listen.ip().is_loopback() || self.keys.is_keyed()
    }

    /// Checks that a request names this service as its host and comes from one of its own pages, or from no page.
    fn is_ours(host: &str, headers: &HeaderMap) -> Result<(), Problem> {
        let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        let refuse = |detail: &str| Err(Problem::new(StatusCode::FORBIDDEN, "FOREIGN", detail));
        // Another name may be one whose DNS was pointed at this machine (DNS rebinding).
        if !is_local(host) {
            return refuse("without API keys this service answers to 127.0.0.1, [::1] and localhost only");
        }
        match text(header::ORIGIN).map(|origin| origin.strip_prefix("http://").unwrap_or(origin)) {
            Some(origin) if origin != host => refuse("requests of pages of another origin are refused"),
            Some(_) | None => Ok(()),
        }
    }

    /// Identifies the caller and checks its role.
    fn caller(&self, host: &str, headers: &HeaderMap, from: IpAddr, needed: Role) -> Result<Caller, Problem> {
        let keys = self.keys.current();
        if !self.needs_keys() {
            Self::is_ours(host, headers)?;
            return Ok(Caller { name: from.to_string(), role: Role::Admin });
        }
        let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let key = given.and_then(|value| value.strip_prefix("Bearer "));
        let Some(owner) = key.and_then(|key| keys.owner(key)) else {
            let detail = "this service needs an API key: Authorization: Bearer KEY (`muster keys add` makes one)";
            return Err(Problem::new(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", detail));
        };
        if owner.role < needed {
            let detail = format!("the key {:?} may not do this", owner.name);
            return Err(Problem::new(StatusCode::FORBIDDEN, "FORBIDDEN", detail));
        }
        Ok(Caller { name: owner.name.clone(), role: owner.role })
    }

    fn admit(&self, caller: &Caller) -> Result<(), Problem> {
        let refused = self.rate.as_ref().is_some_and(|rate| rate.check_key(&caller.name).is_err());
        if refused {
            let detail =
                "this caller has sent more requests in a minute than it may: wait, or raise serve.requests_per_minute";
            return Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, "RATE", detail).after(1));
        }
        Ok(())
    }

    /// Drops the rate limits of callers that have sent nothing for a while.
    pub fn tidy(&self) {
        if let Some(rate) = &self.rate {
            rate.retain_recent();
        }
    }
}

/// Returns the host that a request is for: that of an absolute target, which counts over the header (RFC 9112, section
/// 3.2.2); else that of the header, of which there may be one.
///
/// # Errors
/// There are several headers.
fn host(request: &Request) -> Result<&str, Problem> {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let first = hosts.next();
    if hosts.next().is_some() {
        return Err(Problem::new(StatusCode::BAD_REQUEST, "UNREADABLE", "a request has one Host header"));
    }
    let target = request.uri().authority().map(axum::http::uri::Authority::as_str);
    Ok(target.or_else(|| first.and_then(|host| host.to_str().ok())).unwrap_or_default())
}

/// Tells whether a host is this machine: `127.0.0.1:8080`, `[::1]:8080`, `localhost`.
fn is_local(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|digit| digit.is_ascii_digit()) => name,
        _ => host,
    };
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    bare.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Returns the role that a route needs. Recognition needs no more than reading, because it changes nothing.
fn needed(method: &Method, path: &str) -> Option<Role> {
    match path {
        // Health checks and the files of the page hold no data of anybody.
        path if path.starts_with("/health/") || path == "/openapi.json" => None,
        path if !path.starts_with("/v1/") && path != "/metrics" => None,
        "/v1/recognize" => Some(Role::Read),
        path if path.starts_with("/v1/admin/") => Some(Role::Admin),
        _ if method == Method::GET || method == Method::HEAD => Some(Role::Read),
        _ => Some(Role::Write),
    }
}

/// Authenticates a request, applies the caller's rate limit and bounds the time of the answer.
pub async fn guard(
    State(guard): State<Arc<Guard>>,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
    mut request: Request,
    next: Next,
) -> Response {
    let path = request
        .extensions()
        .get::<MatchedPath>()
        .map_or_else(|| request.uri().path().to_owned(), |p| p.as_str().to_owned());
    let allowed = host(&request).and_then(|host| match needed(request.method(), &path) {
        None => Ok(None),
        Some(role) => guard
            .caller(host, request.headers(), from.ip(), role)
            .and_then(|caller| guard.admit(&caller).map(|()| Some(caller))),
    });
    let response = match allowed {
        Err(problem) => problem.into_response(),
        Ok(caller) => {
            if let Some(caller) = caller {
                request.extensions_mut().insert(caller);
            }
            match tokio::time::timeout(guard.limit, next.run(request)).await {
                Ok(response) => response,
                Err(_) => Problem::late(guard.limit.as_secs()).into_response(),
            }
        }
    };
    secured(response)
}

/// Adds the security headers: no other site may read, frame or run anything of this one.
fn secured(mut response: Response) -> Response {
    const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; \
                          connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(list: &[(&'static str, &str)]) -> HeaderMap {
        list.iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap()))
            .collect()
    }

    #[test]
    fn a_service_without_keys_answers_this_machine_and_its_own_pages_only() {
        let folder = tempfile::tempdir().unwrap();
        let keys = Keys::read(&folder.path().join("keys.json")).unwrap();
        let guard = Guard::new(keys, "127.0.0.1:8080".parse().unwrap(), 0, Duration::from_secs(1));
        let here: IpAddr = "127.0.0.1".parse().unwrap();
        for (list, allowed) in [
            (&[("host", "127.0.0.1:8080")][..], true),
            (&[("host", "localhost")], true),
            (&[("host", "[::1]:8080")], true),
            (&[("host", "localhost:8080"), ("origin", "http://localhost:8080")], true),
            (&[("host", "muster.example:8080")], false),
            (&[], false),
            (&[("host", "127.0.0.1:8080"), ("origin", "https://example.com")], false),
            (&[("host", "127.0.0.1:8080"), ("origin", "http://127.0.0.1:9999")], false),
            (&[("host", "127.0.0.1:8080"), ("origin", "null")], false),
        ] {
            let headers = headers(list);
            let host = headers.get("host").map_or("", |host| host.to_str().unwrap());
            assert_eq!(guard.caller(host, &headers, here, Role::Write).is_ok(), allowed, "{list:?}");
        }
    }

    #[test]
    fn off_this_machine_or_where_there_are_keys_one_is_wanted_and_must_be_enough() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.json");
        let away = Guard::new(Keys::read(&path).unwrap(), "0.0.0.0:80".parse().unwrap(), 0, Duration::from_secs(1));
        let here: IpAddr = "127.0.0.1".parse().unwrap();
        let status =
            |result: Result<Caller, Problem>| result.map_or_else(|p| p.into_response().status().as_u16(), |_| 200);
        assert_eq!(status(away.caller("localhost", &headers(&[]), here, Role::Read)), 401);
        let mut keys = Keys::read(&path).unwrap();
        let key = keys.add("eye", Role::Read).unwrap();
        let guard = Guard::new(keys, "127.0.0.1:80".parse().unwrap(), 0, Duration::from_secs(1));
        let bearer = format!("Bearer {key}");
        for (list, needed, expected) in [
            (&[("host", "localhost")][..], Role::Read, 401),
            (&[("authorization", "Bearer muster_wrong")], Role::Read, 401),
            (&[("authorization", key.as_str())], Role::Read, 401),
            (&[("authorization", bearer.as_str())], Role::Read, 200),
            (&[("authorization", bearer.as_str())], Role::Write, 403),
        ] {
            assert_eq!(status(guard.caller("localhost", &headers(list), here, needed)), expected, "{list:?}");
        }
    }

    #[test]
    fn an_absolute_target_names_the_host_and_two_headers_none() {
        let request = |target: &str, hosts: &[&str]| {
            let mut builder = Request::builder().uri(target);
            for host in hosts {
                builder = builder.header("host", *host);
            }
            host(&builder.body(axum::body::Body::empty()).unwrap()).map(str::to_owned).ok()
        };
        assert_eq!(request("/v1/people", &["localhost:80"]).as_deref(), Some("localhost:80"));
        assert_eq!(request("http://evil.example/v1/people", &["localhost"]).as_deref(), Some("evil.example"));
        assert_eq!(request("/v1/people", &["localhost", "evil.example"]), None);
        assert_eq!(request("/v1/people", &[]).as_deref(), Some(""));
    }

    #[test]
    fn looking_needs_less_than_changing() {
        for (method, path, expected) in [
            (Method::GET, "/", None),
            (Method::GET, "/app.js", None),
            (Method::GET, "/health/live", None),
            (Method::GET, "/metrics", Some(Role::Read)),
            (Method::GET, "/v1/people", Some(Role::Read)),
            (Method::POST, "/v1/recognize", Some(Role::Read)),
            (Method::POST, "/v1/people", Some(Role::Write)),
            (Method::DELETE, "/v1/people/{id}", Some(Role::Write)),
            (Method::POST, "/v1/admin/purge", Some(Role::Admin)),
        ] {
            assert_eq!(needed(&method, path), expected, "{method} {path}");
        }
    }

    #[test]
    fn a_caller_may_ask_so_often() {
        let folder = tempfile::tempdir().unwrap();
        let keys = Keys::read(&folder.path().join("keys.json")).unwrap();
        let guard = Guard::new(keys, "127.0.0.1:80".parse().unwrap(), 2, Duration::from_secs(1));
        let caller = |name: &str| Caller { name: name.into(), role: Role::Read };
        let asked = ["a", "a", "a", "b"].map(|name| guard.admit(&caller(name)).is_ok());
        assert_eq!(asked, [true, true, false, true]);
    }
}
