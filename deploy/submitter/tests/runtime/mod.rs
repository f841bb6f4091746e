//! Lambda's Runtime API: one function asks for the next event, and answers it.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::Value;
use tokio::sync::{Mutex, Notify, mpsc};

/// What a function made of an event.
#[derive(Debug)]
pub enum Answer {
    /// Its answer.
    Response(Value),
    /// Its error.
    Error(Value),
}

/// The API.
pub struct Runtime {
    address: String,
    shared: Arc<Shared>,
    answers: Mutex<mpsc::UnboundedReceiver<Answer>>,
}

struct Shared {
    asked: Notify,
    events: Notify,
    answers: mpsc::UnboundedSender<Answer>,
}

impl Runtime {
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (sender, answers) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared { asked: Notify::new(), events: Notify::new(), answers: sender });
        let invocation = "/2018-06-01/runtime/invocation";
        let router = Router::new()
            .route(&format!("{invocation}/next"), get(next))
            .route(&format!("{invocation}/{{id}}/{{end}}"), post(ended))
            .with_state(Arc::clone(&shared));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, shared, answers: Mutex::new(answers) }
    }

    /// Host and port.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Waits until a function asks for work.
    pub async fn asked(&self) {
        self.shared.asked.notified().await;
    }

    /// Gives an event to the function that asks next; its answer.
    pub async fn invoke(&self) -> Answer {
        self.shared.events.notify_one();
        let mut answers = self.answers.lock().await;
        tokio::time::timeout(std::time::Duration::from_secs(60), answers.recv()).await.expect("no answer").unwrap()
    }
}

async fn next(State(shared): State<Arc<Shared>>) -> Response {
    shared.asked.notify_one();
    shared.events.notified().await;
    let head = [("Lambda-Runtime-Aws-Request-Id", "one"), ("Lambda-Runtime-Deadline-Ms", "4102444800000")];
    (head, axum::Json(serde_json::json!({}))).into_response()
}

async fn ended(
    State(shared): State<Arc<Shared>>,
    Path((_, end)): Path<(String, String)>,
    body: Bytes,
) -> (StatusCode, axum::Json<Value>) {
    let said = serde_json::from_slice(&body).unwrap();
    let _ = shared.answers.send(if end == "response" { Answer::Response(said) } else { Answer::Error(said) });
    (StatusCode::ACCEPTED, axum::Json(serde_json::json!({ "status": "OK" })))
}
