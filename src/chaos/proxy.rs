//! A wire that can be cut, or lose answers: a TCP proxy in front of a server.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
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
    /// What is asked arrives so much later.
    later: Duration,
}

fn lead(url: &str) -> Lead {
    let (_, place) = url.split_once("://").unwrap_or(("", url));
    let server = place.split(['/', '?']).next().unwrap_or(place).to_owned();
    Lead { server, mute: false, later: Duration::ZERO }
}

/// Passes bytes on until one side ends, or the server begins to answer where nobody shall hear it.
async fn pass(client: &mut TcpStream, server: &mut TcpStream, lead: &Lead) {
    let ((mut asked, mut told), (mut answer, mut asking)) = (client.split(), server.split());
    let ask = async {
        let mut bytes = vec![0; 64 << 10];
        while let Ok(count @ 1..) = asked.read(&mut bytes).await {
            tokio::time::sleep(lead.later).await;
            if asking.write_all(&bytes[..count]).await.is_err() {
                return;
            }
        }
        let _ = asking.shutdown().await;
        // The rest of the answer may still come.
        std::future::pending().await
    };
    let hear = async {
        if lead.mute {
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
    /// In front of `http://host:port`.
    ///
    /// # Errors
    /// There is no port for it.
    pub async fn start(url: &str) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (leads, seen) = watch::channel(Some(lead(url)));
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let mut seen = seen.clone();
                tokio::spawn(async move {
                    let lead = seen.borrow_and_update().clone();
                    let Some(lead) = lead else { return };
                    let Ok(mut server) = TcpStream::connect(&lead.server).await else { return };
                    tokio::select! {
                        () = pass(&mut client, &mut server, &lead) => {}
                        _ = seen.changed() => {}
                    }
                    // Dropped: the connection is closed in the middle of whatever it was doing.
                });
            }
        });
        Ok(Self { address, server: lead(url).server, leads })
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Cuts every connection, and all new ones; or mends the wire.
    pub fn set(&self, whole: bool) {
        self.leads.send_replace(whole.then(|| lead(&self.server)));
    }

    /// Ends every connection; over new ones the server hears what is asked, and its answer is lost.
    pub fn lose_answers(&self) {
        self.leads.send_replace(Some(Lead { mute: true, ..lead(&self.server) }));
    }

    /// Ends every connection; over new ones each request takes so much longer.
    pub fn slow(&self, later: Duration) {
        self.leads.send_replace(Some(Lead { later, ..lead(&self.server) }));
    }

    /// Ends every connection; new ones lead to another server.
    pub fn lead_to(&self, url: &str) {
        self.leads.send_replace(Some(lead(url)));
    }
}
