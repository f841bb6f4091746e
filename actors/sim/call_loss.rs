//! Loses calls or their answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::errors::Class;

/// What gets lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LostPart {
    /// The call: nothing happens.
    Call,
    /// The answer: it happens.
    Answer,
}

/// Counts the calls of everything that shares it; one of them gets lost.
#[derive(Clone, Debug, Default)]
pub struct CallLoss {
    calls: Arc<AtomicUsize>,
    which: Option<(usize, LostPart)>,
}

impl CallLoss {
    /// The call `nth`, counted from 0, or its answer.
    pub fn new(nth: usize, what: LostPart) -> Self {
        Self { calls: Arc::default(), which: Some((nth, what)) }
    }

    /// Calls so far.
    pub fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }

    /// Does `call`, unless it gets lost. Others take their turn before and after.
    pub async fn call<T, E>(
        &self,
        call: impl FnOnce() -> Result<T, E>,
        error: impl FnOnce(Class, String) -> E,
    ) -> Result<T, E> {
        let nth = self.calls.fetch_add(1, Ordering::Relaxed);
        tokio::task::yield_now().await;
        let lost = self.which.and_then(|(which, what)| (which == nth).then_some(what));
        let done = (lost != Some(LostPart::Call)).then(call);
        // What is lost is noticed late: others have gone on meanwhile.
        for _ in 0..if lost.is_some() { 8 } else { 1 } {
            tokio::task::yield_now().await;
        }
        match (lost, done) {
            (None, Some(done)) => done,
            (Some(_), _) | (None, None) => Err(error(Class::Transient, String::from("timed out"))),
        }
    }
}
