//! A wire that can be cut, or lose answers: a TCP proxy in front of a server.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, copy, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Passes connections on until it is cut.
pub struct Proxy {
    address: SocketAddr,
    server: String,
    /// Where new connections lead; nowhere while the wire is cut. Every change ends the old ones.
    leads: watch::Sender<Option<Lead>>,
}

#[derive(Clone)]
struct Lead {
    server: String,
    /// The server hears what is asked, and its answer is lost.
    mute: bool,
}

fn host(url: &str) -> String {
    url.trim_start_matches("http://").trim_end_matches('/').to_owned()
}

/// Passes bytes on until one side ends, or the server begins to answer where nobody shall hear it.
async fn pass(client: &mut TcpStream, server: &mut TcpStream, mute: bool) {
    if !mute {
        let _ = copy_bidirectional(client, server).await;
        return;
    }
    let (mut answer, mut asking) = server.split();
    tokio::select! {
        _ = answer.read_u8() => {}
        _ = copy(client, &mut asking) => {}
    }
}

impl Proxy {
    /// In front of `http://host:port`.
    pub async fn start(url: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (leads, seen) = watch::channel(Some(Lead { server: host(url), mute: false }));
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let mut seen = seen.clone();
                tokio::spawn(async move {
                    let lead = seen.borrow_and_update().clone();
                    let Some(Lead { server, mute }) = lead else { return };
                    let Ok(mut server) = TcpStream::connect(server).await else { return };
                    tokio::select! {
                        () = pass(&mut client, &mut server, mute) => {}
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
        self.leads.send_replace(whole.then(|| Lead { server: self.server.clone(), mute: false }));
    }

    /// Ends every connection; over new ones the server hears what is asked, and its answer is lost.
    pub fn lose_answers(&self) {
        self.leads.send_replace(Some(Lead { server: self.server.clone(), mute: true }));
    }

    /// Ends every connection; new ones lead to another server.
    pub fn lead_to(&self, url: &str) {
        self.leads.send_replace(Some(Lead { server: host(url), mute: false }));
    }
}
