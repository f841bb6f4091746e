//! A queue of wake-ups with a planted bug: it confirms messages that it has not sent.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;

use crate::ports::outbox::{OutboundMessage, Outbox};
use crate::ports::queue::{QueueError, SettleOutcome};
use crate::sim::planted_bugs::PlantedBug;

/// An outbox with a bug.
pub(super) struct PlantedOutbox {
    pub(super) outbox: Arc<dyn Outbox>,
    pub(super) planted_bug: PlantedBug,
    /// It has refused a letter.
    pub(super) refused: Arc<AtomicBool>,
}

#[async_trait]
impl Outbox for PlantedOutbox {
    async fn send(&self, letters: &[OutboundMessage]) -> Result<Vec<SettleOutcome>, QueueError> {
        if self.planted_bug == PlantedBug::LostWakeUp {
            return Ok(vec![SettleOutcome::Done; letters.len()]);
        }
        let sent = self.outbox.send(letters).await;
        let done = sent.as_ref().is_ok_and(|settled| settled.iter().all(|one| *one == SettleOutcome::Done));
        self.refused.fetch_or(!done, Ordering::Relaxed);
        sent
    }
}
