//! The settlement of messages: it is taken when it is due, and tried again when the queue failed.

use std::time::Duration;

use tokio::time::Instant;
use tracing::Span;

use super::{Entry, LeaseTable, State};
use crate::domain::image::{Locator, Rejection};
use crate::flow::run_stats::{Done, LeaseOutcome};
use crate::ports::queue::{Handle, SettleOutcome};
use crate::ports::releases::Receive;

/// The way in which one image of a message ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Ack(Done),
    /// The message is given back, and becomes visible again after this delay.
    Release(Duration),
    /// The message is given back as by `Release`, and the image may have broken something.
    Fail(Duration),
    Reject(Rejection),
}

/// One image of a message that has ended.
#[derive(Debug)]
pub(crate) struct EndedImage {
    pub(crate) locator: Option<Locator>,
    pub(crate) end: Outcome,
    pub(crate) span: Span,
}

/// A settlement that is being sent to the queue.
#[derive(Debug)]
pub(crate) struct PendingSettlement {
    pub(crate) id: u64,
    pub(crate) handle: Handle,
    pub(crate) receive: Receive,
    pub(crate) settlement: Settlement,
    /// Spans of the images that it settles.
    pub(crate) spans: Vec<Span>,
}

/// The way in which a whole message ends. The order of the kinds groups them: one batch call settles messages of one
/// kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Settlement {
    Ack,
    Release {
        delay: Duration,
        /// Whether no image of the message may have broken something.
        clean: bool,
    },
    Reject(Rejection),
}

/// Combines the outcomes of a message's images: if one is given back, the whole message is; otherwise, if one is
/// rejected, the message is rejected.
pub(super) fn settlement(parts: &[EndedImage]) -> Settlement {
    let release = parts.iter().filter_map(|part| match part.end {
        Outcome::Release(delay) | Outcome::Fail(delay) => Some(delay),
        Outcome::Ack(_) | Outcome::Reject(_) => None,
    });
    let clean = !parts.iter().any(|part| matches!(part.end, Outcome::Fail(_)));
    let reject =
        parts.iter().find_map(|part| if let Outcome::Reject(why) = &part.end { Some(why.clone()) } else { None });
    match (release.max(), reject) {
        (Some(delay), _) => Settlement::Release { delay, clean },
        (None, Some(rejection)) => Settlement::Reject(rejection),
        (None, None) => Settlement::Ack,
    }
}

impl LeaseTable {
    /// Returns up to `max` due settlements of one kind, and marks them as on their way. A release that waits for a
    /// renewal is not due.
    pub(crate) fn take_due(&self, max: usize) -> Vec<PendingSettlement> {
        let now = Instant::now();
        let mut inner = self.inner.lock();
        self.expire(&mut inner, now);
        let mut taken: Vec<PendingSettlement> = Vec::new();
        for (id, entry) in &mut inner.entries {
            if taken.len() == max {
                break;
            }
            let State::Due { settlement, attempts, not_before } = &entry.state else { continue };
            let same_kind = match (taken.first().map(|first| &first.settlement), settlement) {
                (None, _) => true,
                (Some(Settlement::Release { delay: first, .. }), Settlement::Release { delay, .. }) => first == delay,
                (Some(first), settlement) => std::mem::discriminant(first) == std::mem::discriminant(settlement),
            };
            if *not_before <= now && same_kind && !entry.waits_for_renewal() {
                let (settlement, attempts) = (settlement.clone(), *attempts);
                let spans = entry.parts.iter().map(|part| part.span.clone()).collect();
                taken.push(PendingSettlement {
                    id: *id,
                    handle: entry.handle.clone(),
                    receive: entry.receive.clone(),
                    settlement: settlement.clone(),
                    spans,
                });
                entry.state = State::Settling { settlement, attempts };
            }
        }
        taken
    }

    /// Returns how often the settlement of entry `id` has failed.
    pub(crate) fn attempts(&self, id: u64) -> u32 {
        match self.inner.lock().entries.get(&id).map(|entry| &entry.state) {
            Some(State::Due { attempts, .. } | State::Settling { attempts, .. }) => *attempts,
            Some(State::Held) | None => 0,
        }
    }

    /// Records the outcome of settling entry `id`. A failed settlement is due again after `wait`, or is given up where
    /// `wait` is `None`.
    pub(crate) fn settled(&self, id: u64, settled: &SettleOutcome, wait: Option<Duration>) {
        let mut inner = self.inner.lock();
        match (settled, wait) {
            (SettleOutcome::Done, _) => {
                let released = matches!(
                    inner.entries.get(&id).map(|e| &e.state),
                    Some(State::Settling { settlement: Settlement::Release { .. }, .. })
                );
                inner.released += u64::from(released);
                self.remove(&mut inner, id, |end| match end {
                    Outcome::Ack(done) => LeaseOutcome::Acked(done),
                    Outcome::Release(_) | Outcome::Fail(_) => LeaseOutcome::Released,
                    Outcome::Reject(rejection) => LeaseOutcome::Rejected(rejection),
                });
            }
            (SettleOutcome::Failed(_), Some(wait)) => {
                if let Some(entry) = inner.entries.get_mut(&id)
                    && let State::Settling { settlement, attempts } = &entry.state
                {
                    let (settlement, attempts) = (settlement.clone(), attempts + 1);
                    entry.state = State::Due { settlement, attempts, not_before: Instant::now() + wait };
                    // The LeaseManager may sleep for longer than `wait`.
                    self.due.notify_one();
                }
            }
            (SettleOutcome::LeaseLost, _) | (SettleOutcome::Failed(_), None) => {
                self.remove_lost(&mut inner, id);
            }
        }
    }

    /// Makes every settlement due again that was on its way when the last LeaseManager died.
    pub(crate) fn reclaim(&self) {
        let now = Instant::now();
        for entry in self.inner.lock().entries.values_mut() {
            entry.renewing = false;
            if let State::Settling { settlement, attempts } = &entry.state {
                entry.state = State::Due { settlement: settlement.clone(), attempts: *attempts, not_before: now };
            }
        }
    }

    /// Returns when the next settlement becomes due. It leaves out those that wait for a renewal, which `due`
    /// announces.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        let inner = self.inner.lock();
        let due = |entry: &Entry| match entry.state {
            State::Due { not_before, .. } if !entry.waits_for_renewal() => Some(not_before),
            State::Due { .. } | State::Held | State::Settling { .. } => None,
        };
        inner.entries.values().filter_map(due).min()
    }

    /// Returns the number of messages that are waiting to be settled or being settled.
    pub(crate) fn unsettled(&self) -> usize {
        self.inner.lock().entries.values().filter(|entry| !matches!(entry.state, State::Held)).count()
    }
}
