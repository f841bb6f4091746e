//! An HTTP client that sends spans to X-Ray, signed with the worker's own credentials (SigV4).

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use aws_credential_types::Credentials;
use aws_credential_types::provider::future::ProvideCredentials as Provided;
use aws_credential_types::provider::{self, ProvideCredentials, SharedCredentialsProvider, error::CredentialsError};
use aws_sigv4::http_request::{PayloadChecksumKind, SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use aws_smithy_runtime_api::client::identity::Identity;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use tokio::sync::{Mutex, OnceCell};

use muster_aws::clients;
use muster_config::Fleet;

/// Largest request that X-Ray accepts, in bytes.
pub const LIMIT: usize = 5_000_000;

/// Time before their end at which credentials are renewed.
const MARGIN: Duration = Duration::from_secs(300);

/// Errors of sending spans to X-Ray.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SignError {
    /// The request is larger than X-Ray accepts.
    #[error("{0} bytes of spans are more than X-Ray takes at once ({LIMIT})")]
    TooLarge(usize),
    /// No credentials were found.
    #[error("no credentials to sign with: {0}")]
    Credentials(#[from] CredentialsError),
    /// The request cannot be signed.
    #[error("the request cannot be signed: {0}")]
    Signing(#[from] aws_sigv4::http_request::SigningError),
    /// The region or a credential contains characters that a header cannot.
    #[error("the signature does not fit a header")]
    Header,
}

/// An HTTP client that signs its requests.
#[derive(Clone, Debug)]
pub(crate) struct SignedClient {
    http: reqwest::Client,
    region: String,
    provider: SharedCredentialsProvider,
    held: Arc<Mutex<Option<Credentials>>>,
}

impl SignedClient {
    /// Creates a client that signs for X-Ray in this region.
    pub fn new(http: reqwest::Client, region: &str, provider: SharedCredentialsProvider) -> Self {
        Self { http, region: region.to_owned(), provider, held: Arc::default() }
    }

    async fn credentials(&self) -> Result<Credentials, SignError> {
        let mut held = self.held.lock().await;
        if let Some(credentials) = held.as_ref().filter(|held| lasts(held.expiry(), SystemTime::now())) {
            return Ok(credentials.clone());
        }
        let fresh = self.provider.provide_credentials().await?;
        *held = Some(fresh.clone());
        Ok(fresh)
    }
}

/// Tells whether credentials with this expiry need not be renewed.
fn lasts(expiry: Option<SystemTime>, now: SystemTime) -> bool {
    expiry.is_none_or(|expiry| expiry > now + MARGIN)
}

#[async_trait]
impl HttpClient for SignedClient {
    async fn send_bytes(&self, mut request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        if request.body().len() > LIMIT {
            return Err(SignError::TooLarge(request.body().len()).into());
        }
        let credentials = self.credentials().await?;
        signed(&mut request, credentials, &self.region, SystemTime::now())?;
        self.http.send_bytes(request).await
    }
}

/// Adds the signature to a request for X-Ray.
pub(crate) fn signed(
    request: &mut Request<Bytes>,
    credentials: Credentials,
    region: &str,
    at: SystemTime,
) -> Result<(), SignError> {
    let identity: Identity = credentials.into();
    let mut settings = SigningSettings::default();
    settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    let parameters = v4::SigningParams::builder().identity(&identity).region(region).name("xray").time(at);
    let parameters = parameters.settings(settings).build().map_err(|_| SignError::Header)?.into();
    let instructions = {
        let headers = request.headers().iter().filter_map(|(k, v)| Some((k.as_str(), v.to_str().ok()?)));
        let uri = request.uri().to_string();
        let signable =
            SignableRequest::new(request.method().as_str(), uri, headers, SignableBody::Bytes(request.body()))?;
        sign(signable, &parameters)?.into_parts().0
    };
    for (name, value) in instructions.headers() {
        let name = http::HeaderName::try_from(name).map_err(|_| SignError::Header)?;
        let mut value = http::HeaderValue::try_from(value).map_err(|_| SignError::Header)?;
        value.set_sensitive(true);
        request.headers_mut().insert(name, value);
    }
    Ok(())
}

/// A provider of the worker's credentials that only searches for them when the first spans are sent, because the log
/// works by then.
#[derive(Debug)]
pub struct LazyCredentials {
    fleet: Fleet,
    found: OnceCell<Option<SharedCredentialsProvider>>,
}

impl LazyCredentials {
    /// Creates a provider that looks in the environment, the profile, the task or the instance when credentials are
    /// needed.
    pub fn provider(fleet: &Fleet) -> SharedCredentialsProvider {
        SharedCredentialsProvider::new(Self { fleet: fleet.clone(), found: OnceCell::new() })
    }

    async fn provide(&self) -> provider::Result {
        let load = || async { clients::config(&self.fleet).await.credentials_provider() };
        match self.found.get_or_init(load).await {
            Some(provider) => provider.provide_credentials().await,
            None => Err(CredentialsError::not_loaded("the configuration names no provider")),
        }
    }
}

impl ProvideCredentials for LazyCredentials {
    fn provide_credentials<'a>(&'a self) -> Provided<'a>
    where
        Self: 'a,
    {
        Provided::new(self.provide())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::Router;
    use axum::extract::State;
    use axum::http::HeaderMap;
    use axum::routing::post;
    use sha2::{Digest, Sha256};
    use std::time::UNIX_EPOCH;

    const KEY: &str = "AKIDEXAMPLE";
    const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

    type Seen = Arc<std::sync::Mutex<Vec<(HeaderMap, axum::body::Bytes)>>>;

    async fn take(State(seen): State<Seen>, headers: HeaderMap, body: axum::body::Bytes) {
        seen.lock().unwrap().push((headers, body));
    }

    async fn server() -> (String, Seen) {
        let seen = Seen::default();
        let routes = Router::new().route("/v1/traces", post(take)).with_state(Arc::clone(&seen));
        let routes = routes.layer(axum::extract::DefaultBodyLimit::max(2 * LIMIT));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/v1/traces", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        (url, seen)
    }

    fn client() -> SignedClient {
        let credentials = Credentials::new(KEY, SECRET, Some("a-session".into()), None, "test");
        let config = aws_config::SdkConfig::builder();
        let config = config.credentials_provider(SharedCredentialsProvider::new(credentials)).build();
        SignedClient::new(reqwest::Client::new(), "eu-west-1", config.credentials_provider().unwrap())
    }

    fn request(url: &str, body: Vec<u8>) -> Request<Bytes> {
        let request = Request::post(url).header("content-type", "application/x-protobuf");
        request.body(Bytes::from(body)).unwrap()
    }

    #[tokio::test]
    async fn a_request_is_signed_for_xray_and_arrives_as_it_was() {
        let (url, seen) = server().await;
        let response = client().send_bytes(request(&url, b"spans".to_vec())).await.unwrap();
        assert_eq!(response.status(), 200);
        let (headers, body) = seen.lock().unwrap().pop().unwrap();
        let header = |name: &str| headers[name].to_str().unwrap();
        assert_eq!(body, Bytes::from_static(b"spans"));
        assert_eq!((header("content-type"), header("x-amz-security-token")), ("application/x-protobuf", "a-session"));
        let digest: String = Sha256::digest(b"spans").iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(header("x-amz-content-sha256"), digest);

        let date = header("x-amz-date").to_owned();
        assert!(date.len() == 16 && date.ends_with('Z'), "{date}");
        let rest = header("authorization").strip_prefix("AWS4-HMAC-SHA256 ").unwrap();
        let part = |name: &str| rest.split(", ").find_map(|part| part.strip_prefix(name)).unwrap().to_owned();
        assert_eq!(part("Credential="), format!("{KEY}/{}/eu-west-1/xray/aws4_request", &date[..8]));
        let names = part("SignedHeaders=");
        assert_eq!(names, "content-type;host;x-amz-content-sha256;x-amz-date;x-amz-security-token");
        let signature = part("Signature=");

        // The request that arrived, signed again by the words of the specification, has the same signature.
        let signed: String = names.split(';').map(|name| format!("{name}:{}\n", header(name))).collect();
        let canonical = format!("POST\n/v1/traces\n\n{signed}\n{names}\n{digest}");
        let scope = format!("{}/eu-west-1/xray/aws4_request", &date[..8]);
        let canonical: String = Sha256::digest(canonical).iter().map(|byte| format!("{byte:02x}")).collect();
        let words = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{canonical}");
        let day = UNIX_EPOCH + Duration::from_secs(86_400 * days(&date[..8]));
        let key = v4::generate_signing_key(SECRET, day, "eu-west-1", "xray");
        assert_eq!(signature, v4::calculate_signature(key, words.as_bytes()));
    }

    /// Days from 1970 to a date written `20260131`.
    fn days(date: &str) -> u64 {
        let number = |range: std::ops::Range<usize>| date[range].parse::<i64>().unwrap();
        let (year, month, day) = (number(0..4), number(4..6), number(6..8));
        let (year, month) = if month <= 2 { (year - 1, month + 12) } else { (year, month) };
        (365 * year + year / 4 - year / 100 + year / 400 + (153 * (month - 3) + 2) / 5 + day - 719_469) as u64
    }

    #[tokio::test]
    async fn more_than_xray_takes_is_not_sent() {
        let (url, seen) = server().await;
        client().send_bytes(request(&url, vec![7; LIMIT])).await.unwrap();
        assert_eq!(seen.lock().unwrap().pop().unwrap().1.len(), LIMIT);
        let error = client().send_bytes(request(&url, vec![7; LIMIT + 1])).await.unwrap_err();
        assert!(error.to_string().contains("5000001 bytes"), "{error}");
        assert!(seen.lock().unwrap().is_empty());
    }

    #[test]
    fn what_fits_no_header_is_an_error() {
        let mut bad = request("http://127.0.0.1/v1/traces", Vec::new());
        let credentials = Credentials::new("AK\nID", SECRET, None, None, "test");
        let error = signed(&mut bad, credentials, "eu-west-1", UNIX_EPOCH).unwrap_err();
        assert!(!error.to_string().contains(SECRET) && !bad.headers().contains_key("authorization"));
    }

    #[test]
    fn credentials_are_asked_for_again_before_they_end() {
        let now = UNIX_EPOCH + Duration::from_secs(10_000);
        for (expiry, expected) in [(None, true), (Some(301), true), (Some(300), false), (Some(0), false)] {
            assert_eq!(lasts(expiry.map(|seconds| now + Duration::from_secs(seconds)), now), expected, "{expiry:?}");
        }
    }
}
