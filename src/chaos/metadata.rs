//! The instance metadata service, version 2, as far as a worker asks it: tokens that run out, and notices.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use parking_lot::{Mutex, MutexGuard};

/// A token is good for so few requests that each question meets a refusal; then 401, as when its time is over.
const TOKEN_USES: u32 = 1;

#[derive(Default)]
struct Machine {
    tokens: BTreeMap<String, u32>,
    notices: BTreeMap<&'static str, &'static str>,
    asked: u32,
}

fn lock(machine: &Mutex<Machine>) -> MutexGuard<'_, Machine> {
    machine.lock()
}

/// A metadata service.
pub struct Metadata {
    address: SocketAddr,
    machine: Arc<Mutex<Machine>>,
}

async fn answer(
    State(machine): State<Arc<Mutex<Machine>>>,
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
    /// A machine that nobody wants back.
    ///
    /// # Errors
    /// There is no port for it.
    pub async fn start() -> io::Result<Self> {
        let machine = Arc::new(Mutex::new(Machine::default()));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let service = Router::new().fallback(answer).with_state(Arc::clone(&machine));
        tokio::spawn(async move { axum::serve(listener, service).await });
        Ok(Self { address, machine })
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on `path` answers `notice`.
    pub fn say(&self, path: &'static str, notice: &'static str) {
        lock(&self.machine).notices.insert(path, notice);
    }

    /// Nobody wants the machine back any more.
    pub fn forget(&self) {
        lock(&self.machine).notices.clear();
    }

    /// Requests with a good token.
    pub fn asked(&self) -> u32 {
        lock(&self.machine).asked
    }
}
