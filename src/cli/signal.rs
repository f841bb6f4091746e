//! Handles Ctrl-C and SIGTERM: the first asks for a drain, the second ends the program at once.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

/// Exit code of a process that was told twice: 128 + SIGINT.
const TOLD_TWICE: i32 = 130;

/// Whether somebody asked this process to stop.
#[derive(Clone)]
pub struct Signals {
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    asked: AtomicBool,
    notify: Notify,
}

impl Signals {
    /// Listens on a thread of its own, so that a busy pipeline cannot keep a person waiting.
    pub fn listen() -> io::Result<Self> {
        let state = Arc::new(State::default());
        let there = Arc::clone(&state);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        std::thread::Builder::new().name("signals".into()).spawn(move || {
            runtime.block_on(async move {
                loop {
                    if wait().await.is_err() {
                        return;
                    }
                    if there.asked.swap(true, Ordering::SeqCst) {
                        std::process::exit(TOLD_TWICE);
                    }
                    there.notify.notify_waiters();
                }
            });
        })?;
        Ok(Self { state })
    }

    /// Returns when somebody asks; at once when somebody did.
    pub async fn asked(&self) {
        let notified = self.state.notify.notified();
        tokio::pin!(notified);
        notified.as_mut().enable();
        if !self.is_asked() {
            notified.await;
        }
    }

    /// Whether somebody asked already.
    pub fn is_asked(&self) -> bool {
        self.state.asked.load(Ordering::SeqCst)
    }
}

#[cfg(unix)]
async fn wait() -> io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        result = tokio::signal::ctrl_c() => result,
        _ = terminate.recv() => Ok(()),
    }
}

#[cfg(not(unix))]
async fn wait() -> io::Result<()> {
    tokio::signal::ctrl_c().await
}
