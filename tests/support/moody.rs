//! A service of Amazon's in a bad mood: it refuses some requests in its own words and passes the others on.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Method, Response, StatusCode, Uri};

/// In front of a server, for as long as the runtime lives.
pub struct Moody {
    url: String,
    left: Arc<AtomicUsize>,
}

impl Moody {
    /// Answers the next `times` requests with `status` and `body`.
    pub async fn start(server: &str, times: usize, status: u16, body: &'static str) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let left = Arc::new(AtomicUsize::new(times));
        let (server, refusals, client) = (server.to_owned(), Arc::clone(&left), reqwest::Client::new());
        let status = StatusCode::from_u16(status).unwrap();
        let answer = move |method: Method, uri: Uri, headers: HeaderMap, sent: Bytes| {
            let (server, refusals, client) = (server.clone(), Arc::clone(&refusals), client.clone());
            async move {
                let fewer = |left: usize| left.checked_sub(1);
                if refusals.fetch_update(Ordering::SeqCst, Ordering::SeqCst, fewer).is_ok() {
                    return Response::builder().status(status).body(Body::from(body)).unwrap();
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
        Self { url, left }
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// Requests that it will still refuse.
    pub fn left(&self) -> usize {
        self.left.load(Ordering::SeqCst)
    }
}
