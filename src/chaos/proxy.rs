//! A TCP proxy in front of a server, which can cut connections, delay requests or lose answers.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Forwards connections to a server until it is cut.
pub struct Proxy {
    address: SocketAddr,
    server: String,
    /// Target of new connections; `None` while the proxy is cut. Every change ends the old ones.
    upstream: watch::Sender<Option<Upstream>>,
}

#[derive(Clone)]
struct Upstream {
    server: String,
    /// Whether the server's answers are lost.
    drop_answers: bool,
    /// Delay of requests.
    latency: Duration,
}

fn parse_upstream(url: &str) -> Upstream {
    let (_, place) = url.split_once("://").unwrap_or(("", url));
    let server = place.split(['/', '?']).next().unwrap_or(place).to_owned();
    Upstream { server, drop_answers: false, latency: Duration::ZERO }
}

/// Forwards bytes until one side ends, or until the server begins to answer where answers are lost.
async fn pass(client: &mut TcpStream, server: &mut TcpStream, upstream: &Upstream) {
    let ((mut asked, mut told), (mut answer, mut asking)) = (client.split(), server.split());
    let ask = async {
        let mut bytes = vec![0; 64 << 10];
        while let Ok(count @ 1..) = asked.read(&mut bytes).await {
            tokio::time::sleep(upstream.latency).await;
            if asking.write_all(&bytes[..count]).await.is_err() {
                return;
            }
        }
        let _ = asking.shutdown().await;
        // The rest of the answer may still come.
        std::future::pending().await
    };
    let hear = async {
        if upstream.drop_answers {
            let _ = answer.read_u8().await;
        } else {
            let _ = copy(&mut answer, &mut told).await;
        }
    };
    tokio::select! {
        () = ask => {}
        () = hear => {}
    }
}

impl Proxy {
    /// Starts a proxy in front of `http://host:port`.
    ///
    /// # Errors
    /// [`io::Error`] when no port can be opened.
    pub async fn start(url: &str) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (upstream, seen) = watch::channel(Some(parse_upstream(url)));
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let mut seen = seen.clone();
                tokio::spawn(async move {
                    let upstream = seen.borrow_and_update().clone();
                    let Some(upstream) = upstream else { return };
                    let Ok(mut server) = TcpStream::connect(&upstream.server).await else { return };
                    tokio::select! {
                        () = pass(&mut client, &mut server, &upstream) => {}
                        _ = seen.changed() => {}
                    }
                    // Dropped: the connection is closed in the middle of whatever it was doing.
                });
            }
        });
        Ok(Self { address, server: parse_upstream(url).server, upstream })
    }

    /// Returns the address of the proxy.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Cuts all connections, new ones included, or restores them where `whole` is true.
    pub fn set(&self, whole: bool) {
        self.upstream.send_replace(whole.then(|| parse_upstream(&self.server)));
    }

    /// Ends every connection; over new ones the server receives requests, and its answers are lost.
    pub fn lose_answers(&self) {
        self.upstream.send_replace(Some(Upstream { drop_answers: true, ..parse_upstream(&self.server) }));
    }

    /// Ends every connection; over new ones each request is delayed.
    pub fn slow(&self, latency: Duration) {
        self.upstream.send_replace(Some(Upstream { latency, ..parse_upstream(&self.server) }));
    }

    /// Ends every connection, and forwards new ones to another server.
    pub fn lead_to(&self, url: &str) {
        self.upstream.send_replace(Some(parse_upstream(url)));
    }
}
