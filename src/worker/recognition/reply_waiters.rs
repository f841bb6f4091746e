//! The callers that wait for replies, by request.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;

use super::wire_protocol::Id;

/// Callers that wait for a reply, by the id of their request.
#[derive(Default)]
pub struct ReplyWaiters {
    callers: Mutex<HashMap<Id, Arc<Notify>>>,
    dismissed: AtomicBool,
}

/// A caller that waits for one reply; dropping it ends the wait.
pub(crate) struct ReplyWaiter {
    id: Id,
    waiting: Arc<ReplyWaiters>,
    called: Arc<Notify>,
}

impl ReplyWaiters {
    fn callers(&self) -> MutexGuard<'_, HashMap<Id, Arc<Notify>>> {
        self.callers.lock()
    }

    /// Adds a caller that waits for the reply to `id`.
    pub fn join(self: &Arc<Self>, id: Id) -> ReplyWaiter {
        let called = Arc::<Notify>::default();
        self.callers().insert(id, Arc::clone(&called));
        ReplyWaiter { id, waiting: Arc::clone(self), called }
    }

    /// Ends the wait of all callers, and of those that come later.
    pub(crate) fn dismiss(&self) {
        self.dismissed.store(true, Ordering::SeqCst);
        self.callers().values().for_each(|caller| caller.notify_one());
    }

    /// Tells whether all waits were ended.
    pub(crate) fn is_dismissed(&self) -> bool {
        self.dismissed.load(Ordering::SeqCst)
    }

    /// Returns the number of callers that wait.
    pub fn count(&self) -> usize {
        self.callers().len()
    }

    /// Wakes the caller that waits for `id`, and tells whether there is one.
    pub fn call(&self, id: Id) -> bool {
        self.callers().get(&id).inspect(|caller| caller.notify_one()).is_some()
    }
}

impl ReplyWaiter {
    /// Waits for the next wake-up.
    pub async fn called(&self) {
        self.called.notified().await;
    }
}

impl Drop for ReplyWaiter {
    fn drop(&mut self) {
        self.waiting.callers().remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_is_called_for_their_own_answer_and_nobody_after_they_left() {
        let waiting = Arc::new(ReplyWaiters::default());
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
