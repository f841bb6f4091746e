//! Accepts connections with limits: how many there are at a time, and how long each may take for the head of a request.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tower_service::Service;

/// Limits of connections.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionLimits {
    /// Most connections at a time; further callers wait until one ends.
    pub most: usize,
    /// Longest time from the beginning of a connection, or from the answer before, until a request's head is there.
    pub head: Duration,
    /// The same while more than half of the places are taken.
    pub head_when_crowded: Duration,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self { most: 512, head: Duration::from_secs(20), head_when_crowded: Duration::from_secs(3) }
    }
}

impl ConnectionLimits {
    fn head_limit(&self, free: usize) -> Duration {
        if free < self.most / 2 { self.head_when_crowded } else { self.head }
    }
}

/// Answers requests over HTTP/1.1 until `stopped`, and then until all that were begun have their answers.
///
/// # Errors
/// The listener fails for another reason than a connection that ended at once or a lack of descriptors.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    limits: ConnectionLimits,
    stopped: impl Future<Output = ()>,
) -> io::Result<()> {
    let places = Arc::new(Semaphore::new(limits.most));
    let graceful = GracefulShutdown::new();
    tokio::pin!(stopped);
    loop {
        let accepted = async {
            // The semaphore is never closed.
            let place = Arc::clone(&places).acquire_owned().await.map_err(io::Error::other)?;
            Ok::<_, io::Error>((listener.accept().await, place))
        };
        let (accepted, place) = tokio::select! {
            accepted = accepted => accepted?,
            () = &mut stopped => break,
        };
        let (stream, from) = match accepted {
            Ok(accepted) => accepted,
            Err(error) if is_passing(&error) => {
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
            Err(error) => return Err(error),
        };
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(limits.head_limit(places.available_permits()));
        let router = router.clone();
        let answer = service_fn(move |request: hyper::Request<Incoming>| answer(router.clone(), from, request));
        let connection = graceful.watch(http.serve_connection(TokioIo::new(stream), answer));
        tokio::spawn(async move {
            // What goes wrong on a connection is told to its caller, where it can be told to anybody.
            let _ = connection.await;
            drop(place);
        });
    }
    drop(listener);
    graceful.shutdown().await;
    Ok(())
}

async fn answer(
    mut router: Router,
    from: SocketAddr,
    request: hyper::Request<Incoming>,
) -> Result<axum::response::Response, Infallible> {
    let mut request: Request = request.map(Body::new);
    request.extensions_mut().insert(ConnectInfo(from));
    router.call(request).await
}

/// Whether a later connection may be accepted: the caller went, or descriptors are short.
fn is_passing(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted, OutOfMemory};
    const TOO_MANY_FILES: [i32; 2] = [23, 24];
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted | OutOfMemory)
        || error.raw_os_error().is_some_and(|code| TOO_MANY_FILES.contains(&code))
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;
    use tokio::time::timeout;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    async fn start(most: usize) -> (SocketAddr, tokio::sync::oneshot::Sender<()>, tokio::task::JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let limits = ConnectionLimits { most, head: SECOND, head_when_crowded: SECOND / 4 };
        let router = Router::new()
            .route("/", get(|ConnectInfo(from): ConnectInfo<SocketAddr>| async move { from.ip().to_string() }));
        let served = tokio::spawn(async move {
            let stopped = async {
                let _ = stopped.await;
            };
            serve(listener, router, limits, stopped).await.unwrap();
        });
        (address, stop, served)
    }

    /// The bytes that come until the connection ends.
    async fn rest(stream: &mut TcpStream) -> String {
        let mut text = Vec::new();
        let _ = timeout(10 * SECOND, stream.read_to_end(&mut text)).await.expect("the connection ends");
        String::from_utf8_lossy(&text).into_owned()
    }

    #[tokio::test]
    async fn a_connection_without_a_whole_head_ends() {
        let (address, _stop, _) = start(8).await;
        for sent in ["", "GET / HTTP/1.1\r\nHost: localhost\r\n", "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"] {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(sent.as_bytes()).await.unwrap();
            let answer = rest(&mut stream).await;
            assert_eq!(answer.contains("127.0.0.1"), sent.ends_with("\r\n\r\n"), "{sent:?}: {answer}");
        }
    }

    #[tokio::test]
    async fn silent_connections_keep_nobody_out_for_long() {
        let (address, _stop, _) = start(8).await;
        let mut silent = Vec::new();
        for _ in 0..40 {
            silent.push(TcpStream::connect(address).await.unwrap());
        }
        let mut caller = TcpStream::connect(address).await.unwrap();
        caller.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await.unwrap();
        assert!(rest(&mut caller).await.contains("127.0.0.1"));
    }

    #[tokio::test]
    async fn a_stop_waits_for_no_half_of_a_head() {
        let (address, stop, served) = start(8).await;
        let mut half = TcpStream::connect(address).await.unwrap();
        half.write_all(b"GET / HTTP/1.1\r\nHo").await.unwrap();
        tokio::time::sleep(SECOND / 10).await;
        stop.send(()).unwrap();
        timeout(5 * SECOND, served).await.expect("it ends").unwrap();
    }
}
