//! A fake of the instance metadata service, version 2, with tokens that expire and Spot notices.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use parking_lot::{Mutex, MutexGuard};

/// Number of requests for which a token is valid; after them it is refused with 401 like an expired one.
const TOKEN_USES: u32 = 1;

#[derive(Default)]
struct MetadataState {
    tokens: BTreeMap<String, u32>,
    notices: BTreeMap<&'static str, &'static str>,
    asked: u32,
}

fn lock(machine: &Mutex<MetadataState>) -> MutexGuard<'_, MetadataState> {
    machine.lock()
}

/// A fake metadata service on a local port.
pub struct Metadata {
    address: SocketAddr,
    machine: Arc<Mutex<MetadataState>>,
}

async fn answer(
    State(machine): State<Arc<Mutex<MetadataState>>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> (StatusCode, HeaderMap, String) {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let mut machine = lock(&machine);
    let mut out = HeaderMap::new();
    if method == Method::PUT && uri.path() == "/latest/api/token" {
        let Some(seconds) = header("x-aws-ec2-metadata-token-ttl-seconds") else {
            return (StatusCode::BAD_REQUEST, out, String::new());
        };
        let token = format!("token{}", machine.tokens.len());
        machine.tokens.insert(token.clone(), TOKEN_USES);
        if let Ok(seconds) = seconds.parse() {
            out.insert("x-aws-ec2-metadata-token-ttl-seconds", seconds);
        }
        return (StatusCode::OK, out, token);
    }
    let uses = header("x-aws-ec2-metadata-token").and_then(|token| machine.tokens.get_mut(&token));
    match uses {
        Some(uses) if *uses > 0 => *uses -= 1,
        _ => return (StatusCode::UNAUTHORIZED, out, String::new()),
    }
    machine.asked += 1;
    match machine.notices.get(uri.path()) {
        Some(notice) => (StatusCode::OK, out, (*notice).to_owned()),
        None => (StatusCode::NOT_FOUND, out, String::new()),
    }
}

impl Metadata {
    /// Starts the service without notices.
    ///
    /// # Errors
    /// [`io::Error`] when no port can be opened.
    pub async fn start() -> io::Result<Self> {
        let machine = Arc::new(Mutex::new(MetadataState::default()));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let service = Router::new().fallback(answer).with_state(Arc::clone(&machine));
        tokio::spawn(async move { axum::serve(listener, service).await });
        Ok(Self { address, machine })
    }

    /// Returns the address of the service.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Answers `path` with `notice` from now on.
    pub fn say(&self, path: &'static str, notice: &'static str) {
        lock(&self.machine).notices.insert(path, notice);
    }

    /// Removes all notices.
    pub fn forget(&self) {
        lock(&self.machine).notices.clear();
    }

    /// Returns the number of requests with a valid token.
    pub fn asked(&self) -> u32 {
        lock(&self.machine).asked
    }
}
