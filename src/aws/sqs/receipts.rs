//! Remembers which receipts are valid. SQS answers a delete with an invalid receipt with success and deletes nothing.
//! So receipts are removed here when they are settled, or when their visibility timeout is over by our clock.

use std::collections::HashMap;
use std::sync::Arc;

use muster_actors::ports::queue::{Handle, SettleOutcome};
use parking_lot::{Mutex, MutexGuard};
use tokio::time::Instant;

use super::dead_letter::Original;

/// A message whose receipt is valid.
#[derive(Debug)]
struct HeldMessage {
    until: Instant,
    original: Original,
    /// Whether a copy of it is in the dead-letter queue, so that only the delete is missing.
    buried: bool,
    /// Whether a delete was sent already.
    deleted: bool,
}

/// The valid receipts of one queue, shared by all tasks that settle them.
#[derive(Clone, Debug, Default)]
pub(super) struct Receipts(Arc<Mutex<HashMap<Handle, HeldMessage>>>);

impl Receipts {
    fn held(&self) -> MutexGuard<'_, HashMap<Handle, HeldMessage>> {
        self.0.lock()
    }

    /// Adds received messages, whose receipts are valid `until` a time, and removes those that were not settled in
    /// time.
    pub(super) fn add(&self, received: Vec<(Handle, Original)>, until: Instant) {
        let now = Instant::now();
        let mut held = self.held();
        held.retain(|_, message| message.until > now);
        let message = |original| HeldMessage { until, original, buried: false, deleted: false };
        held.extend(received.into_iter().map(|(handle, original)| (handle, message(original))));
    }

    /// Tells which receipts are still valid, and forgets the others.
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

    /// Records the outcome of extending leases to `until`.
    pub(super) fn extended(&self, handles: &[Handle], settled: &[SettleOutcome], until: Instant) {
        let mut held = self.held();
        for (handle, outcome) in handles.iter().zip(settled) {
            match outcome {
                SettleOutcome::Done => {
                    if let Some(message) = held.get_mut(handle) {
                        message.until = until;
                    }
                }
                SettleOutcome::LeaseLost => {
                    held.remove(handle);
                }
                SettleOutcome::Failed(_) => {}
            }
        }
    }

    /// Removes settled receipts.
    pub(super) fn settled(&self, handles: &[Handle], settled: &[SettleOutcome]) {
        let mut held = self.held();
        for (handle, _) in
            handles.iter().zip(settled).filter(|(_, settled)| !matches!(settled, SettleOutcome::Failed(_)))
        {
            held.remove(handle);
        }
    }

    /// Records that deletes are about to be sent, and tells for each whether one was sent before.
    pub(super) fn deleting(&self, handles: &[Handle]) -> Vec<bool> {
        let mut held = self.held();
        let mut ask = |handle| held.get_mut(handle).is_some_and(|held| std::mem::replace(&mut held.deleted, true));
        handles.iter().map(&mut ask).collect()
    }

    /// Returns the message of a receipt, unless its copy is in the dead-letter queue already.
    pub(super) fn unburied(&self, handle: &Handle) -> Option<Original> {
        self.held().get(handle).filter(|message| !message.buried).map(|message| message.original.clone())
    }

    /// Records that a copy of the message is in the dead-letter queue.
    pub(super) fn buried(&self, handle: &Handle) {
        if let Some(message) = self.held().get_mut(handle) {
            message.buried = true;
        }
    }
}
