//! A wire that can be cut: a TCP proxy in front of a server.

use std::net::SocketAddr;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Passes connections on until it is cut.
pub struct Proxy {
    address: SocketAddr,
    whole: watch::Sender<bool>,
}

impl Proxy {
    /// In front of `http://host:port`.
    pub async fn start(url: &str) -> Self {
        let server = url.trim_start_matches("http://").trim_end_matches('/').to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (whole, seen) = watch::channel(true);
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let (server, mut seen) = (server.clone(), seen.clone());
                tokio::spawn(async move {
                    if *seen.borrow() {
                        let Ok(mut server) = TcpStream::connect(server).await else { return };
                        tokio::select! {
                            _ = copy_bidirectional(&mut client, &mut server) => {}
                            _ = seen.wait_for(|whole| !whole) => {}
                        }
                    }
                    // Dropped: the connection is closed in the middle of whatever it was doing.
                });
            }
        });
        Self { address, whole }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Cuts every connection, and all new ones; or mends the wire.
    pub fn set(&self, whole: bool) {
        self.whole.send_replace(whole);
    }
}
