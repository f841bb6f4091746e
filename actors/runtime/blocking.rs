//! The place where blocking work (decoding, grouping) runs.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// The error that blocking work panicked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("blocking work panicked")]
pub(crate) struct Panicked;

/// Runs blocking work off the actors' thread. If time is simulated, it runs on that thread instead, because a paused
/// clock would advance while another thread works.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Blocking {
    /// Work runs on tokio's blocking threads.
    #[default]
    Threads,
    /// Work runs on the calling thread.
    InPlace,
}

impl Blocking {
    /// Runs `work`, and returns a panic in it as an error.
    pub(crate) async fn run<T: Send + 'static>(self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Panicked> {
        match self {
            Self::Threads => tokio::task::spawn_blocking(work).await.map_err(|_| Panicked),
            Self::InPlace => catch_unwind(AssertUnwindSafe(work)).map_err(|_| Panicked),
        }
    }
}
