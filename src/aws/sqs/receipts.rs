//! The receipts that are ours. SQS answers a delete with a stale one with success and deletes nothing, so what is settled, or
//! has outlived its visibility timeout by our clock, is known here.

use std::collections::HashMap;
use std::sync::Arc;

use muster_actors::ports::queue::{Handle, Settled};
use parking_lot::{Mutex, MutexGuard};
use tokio::time::Instant;

use super::letter::Original;

/// What is remembered of a message that is ours.
#[derive(Debug)]
struct Held {
    until: Instant,
    original: Original,
    /// Its copy is in the dead-letter queue; only the delete is missing.
    buried: bool,
    /// A delete was sent before.
    deleted: bool,
}

/// Receipts of one queue, shared by all who settle them.
#[derive(Clone, Debug, Default)]
pub(super) struct Receipts(Arc<Mutex<HashMap<Handle, Held>>>);

impl Receipts {
    fn held(&self) -> MutexGuard<'_, HashMap<Handle, Held>> {
        self.0.lock()
    }

    /// Messages were received that are ours until a time. What nobody settled in time is not any more.
    pub(super) fn add(&self, received: Vec<(Handle, Original)>, until: Instant) {
        let now = Instant::now();
        let mut held = self.held();
        held.retain(|_, message| message.until > now);
        let message = |original| Held { until, original, buried: false, deleted: false };
        held.extend(received.into_iter().map(|(handle, original)| (handle, message(original))));
    }

    /// Which are ours still. What is not is forgotten.
    pub(super) fn ours(&self, handles: &[Handle]) -> Vec<bool> {
        let now = Instant::now();
        let mut held = self.held();
        let mut ours = |handle: &Handle| match held.get(handle) {
            Some(message) if message.until > now => true,
            Some(_) => {
                held.remove(handle);
                false
            }
            None => false,
        };
        handles.iter().map(&mut ours).collect()
    }

    /// What came of extending leases to `until`.
    pub(super) fn extended(&self, handles: &[Handle], settled: &[Settled], until: Instant) {
        let mut held = self.held();
        for (handle, outcome) in handles.iter().zip(settled) {
            match outcome {
                Settled::Done => {
                    if let Some(message) = held.get_mut(handle) {
                        message.until = until;
                    }
                }
                Settled::LeaseLost => {
                    held.remove(handle);
                }
                Settled::Failed(_) => {}
            }
        }
    }

    /// What is settled is not ours any more.
    pub(super) fn settled(&self, handles: &[Handle], settled: &[Settled]) {
        let mut held = self.held();
        for (handle, _) in handles.iter().zip(settled).filter(|(_, settled)| !matches!(settled, Settled::Failed(_))) {
            held.remove(handle);
        }
    }

    /// Deletes are about to be sent; whether one of each was sent before.
    pub(super) fn deleting(&self, handles: &[Handle]) -> Vec<bool> {
        let mut held = self.held();
        let mut ask = |handle| held.get_mut(handle).is_some_and(|held| std::mem::replace(&mut held.deleted, true));
        handles.iter().map(&mut ask).collect()
    }

    /// The message of a receipt, unless its copy is in the dead-letter queue already.
    pub(super) fn unburied(&self, handle: &Handle) -> Option<Original> {
        self.held().get(handle).filter(|message| !message.buried).map(|message| message.original.clone())
    }

    /// The message's copy is in the dead-letter queue.
    pub(super) fn buried(&self, handle: &Handle) {
        if let Some(message) = self.held().get_mut(handle) {
            message.buried = true;
        }
    }
}
