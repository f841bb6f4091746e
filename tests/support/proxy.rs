//! A wire that can be cut: a TCP proxy in front of a server.

use std::net::SocketAddr;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Passes connections on until it is cut.
pub struct Proxy {
    address: SocketAddr,
    server: String,
    /// Where new connections lead; nowhere while the wire is cut. Every change ends the old ones.
    leads: watch::Sender<Option<String>>,
}

fn host(url: &str) -> String {
    url.trim_start_matches("http://").trim_end_matches('/').to_owned()
}

impl Proxy {
    /// In front of `http://host:port`.
    pub async fn start(url: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (leads, seen) = watch::channel(Some(host(url)));
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let mut seen = seen.clone();
                tokio::spawn(async move {
                    let server = seen.borrow_and_update().clone();
                    let Some(server) = server else { return };
                    let Ok(mut server) = TcpStream::connect(server).await else { return };
                    tokio::select! {
                        _ = copy_bidirectional(&mut client, &mut server) => {}
                        _ = seen.changed() => {}
                    }
                    // Dropped: the connection is closed in the middle of whatever it was doing.
                });
            }
        });
        Self { address, server: host(url), leads }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Cuts every connection, and all new ones; or mends the wire.
    pub fn set(&self, whole: bool) {
        self.leads.send_replace(whole.then(|| self.server.clone()));
    }

    /// Ends every connection; new ones lead to another server.
    pub fn lead_to(&self, url: &str) {
        self.leads.send_replace(Some(host(url)));
    }
}
