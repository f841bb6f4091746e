//! Who waits for which answer.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;

use super::letter::Id;

/// Callers by the request that is theirs.
#[derive(Default)]
pub struct Waiting {
    callers: Mutex<HashMap<Id, Arc<Notify>>>,
    dismissed: AtomicBool,
}

/// A caller who waits; dropped, nobody does.
pub(crate) struct Waiter {
    id: Id,
    waiting: Arc<Waiting>,
    called: Arc<Notify>,
}

impl Waiting {
    fn callers(&self) -> MutexGuard<'_, HashMap<Id, Arc<Notify>>> {
        self.callers.lock()
    }

    /// Waits for the answer to `id`.
    pub fn join(self: &Arc<Self>, id: Id) -> Waiter {
        let called = Arc::<Notify>::default();
        self.callers().insert(id, Arc::clone(&called));
        Waiter { id, waiting: Arc::clone(self), called }
    }

    /// Sends everybody away, and who comes later too.
    pub(crate) fn dismiss(&self) {
        self.dismissed.store(true, Ordering::SeqCst);
        self.callers().values().for_each(|caller| caller.notify_one());
    }

    /// Whether all are sent away.
    pub(crate) fn is_dismissed(&self) -> bool {
        self.dismissed.load(Ordering::SeqCst)
    }

    /// How many wait.
    pub fn count(&self) -> usize {
        self.callers().len()
    }

    /// Calls whoever waits for `id`; whether anybody does.
    pub fn call(&self, id: Id) -> bool {
        self.callers().get(&id).inspect(|caller| caller.notify_one()).is_some()
    }
}

impl Waiter {
    /// Returns once for each call.
    pub async fn called(&self) {
        self.called.notified().await;
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.waiting.callers().remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_is_called_for_their_own_answer_and_nobody_after_they_left() {
        let waiting = Arc::new(Waiting::default());
        let (mine, theirs) = (Id([1; 16]), Id([2; 16]));
        let (first, second) = (waiting.join(mine), waiting.join(theirs));
        assert!(waiting.call(mine));
        first.called().await;
        let quiet = tokio::time::timeout(std::time::Duration::from_millis(20), second.called()).await;
        assert!(quiet.is_err(), "another's answer");
        drop((first, second));
        assert!(!waiting.call(theirs), "they left");
    }
}
