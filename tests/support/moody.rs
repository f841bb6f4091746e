//! A service of Amazon's in a bad mood: it refuses some requests in its own words and passes the others on.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Method, Response, StatusCode, Uri};
use parking_lot::Mutex;

/// What it says, and how often.
#[derive(Clone, Copy, Debug)]
pub struct Refusal {
    /// Requests that it still refuses.
    pub times: usize,
    /// Only of paths that end so.
    pub path: &'static str,
    pub status: u16,
    pub body: &'static str,
}

/// In front of a server, for as long as the runtime lives.
pub struct Moody {
    url: String,
    refusal: Arc<Mutex<Option<Refusal>>>,
    refused: Arc<AtomicUsize>,
}

impl Moody {
    /// Passes everything on.
    pub async fn calm(server: &str) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (refusal, refused) = (Arc::<Mutex<Option<Refusal>>>::default(), Arc::<AtomicUsize>::default());
        let (server, client) = (server.to_owned(), reqwest::Client::new());
        let (says, count) = (Arc::clone(&refusal), Arc::clone(&refused));
        let answer = move |method: Method, uri: Uri, headers: HeaderMap, sent: Bytes| {
            let (server, says, count, client) = (server.clone(), Arc::clone(&says), Arc::clone(&count), client.clone());
            async move {
                if let Some(refusal) =
                    says.lock().as_mut().filter(|says| says.times > 0 && uri.path().ends_with(says.path))
                {
                    refusal.times -= 1;
                    count.fetch_add(1, Ordering::SeqCst);
                    let answer = Response::builder().status(StatusCode::from_u16(refusal.status).unwrap());
                    return answer.body(Body::from(refusal.body)).unwrap();
                }
                let url = format!("{}{}", server.trim_end_matches('/'), uri.path_and_query().unwrap());
                let answer = client.request(method, url).headers(headers).body(sent).send().await.unwrap();
                let (status, headers) = (answer.status(), answer.headers().clone());
                let mut passed = Response::new(Body::from(answer.bytes().await.unwrap()));
                (*passed.status_mut(), *passed.headers_mut()) = (status, headers);
                passed
            }
        };
        tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer)).await });
        Self { url, refusal, refused }
    }

    /// Answers the next `times` requests with `status` and `body`.
    pub async fn start(server: &str, times: usize, status: u16, body: &'static str) -> Self {
        let moody = Self::calm(server).await;
        moody.refuse(Some(Refusal { times, path: "", status, body }));
        moody
    }

    /// Refuses from now on, or no more.
    pub fn refuse(&self, refusal: Option<Refusal>) {
        *self.refusal.lock() = refusal;
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// Requests that it will still refuse.
    pub fn left(&self) -> usize {
        self.refusal.lock().map_or(0, |refusal| refusal.times)
    }

    /// Requests that it has refused so far.
    pub fn refused(&self) -> usize {
        self.refused.load(Ordering::SeqCst)
    }
}
