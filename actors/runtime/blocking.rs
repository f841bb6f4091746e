//! Where blocking work (decoding, grouping) runs.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// The blocking work panicked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("blocking work panicked")]
pub(crate) struct Panicked;

/// Runs blocking work off the actors' thread, or on it where time is simulated: a thread under a paused clock lets
/// the clock run away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Blocking {
    /// On tokio's blocking threads.
    #[default]
    Threads,
    /// In place.
    InPlace,
}

impl Blocking {
    /// Runs `work`; a panic in it is an error, not ours.
    pub(crate) async fn run<T: Send + 'static>(self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Panicked> {
        match self {
            Self::Threads => tokio::task::spawn_blocking(work).await.map_err(|_| Panicked),
            Self::InPlace => catch_unwind(AssertUnwindSafe(work)).map_err(|_| Panicked),
        }
    }
}
