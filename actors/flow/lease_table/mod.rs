//! The table of all open leases and all settlements that are not done. It outlives the LeaseManager, so a crash of that
//! actor loses nothing.

mod renewing;
mod settling;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::domain::image::Locator;
use crate::flow::lease::Lease;
use crate::flow::lease_table::settling::settlement;
pub(crate) use crate::flow::lease_table::settling::{EndedImage, Outcome, PendingSettlement, Settlement};
use crate::flow::run_stats::{LeaseOutcome, RunStats};
use crate::ports::queue::{Delivery, Handle};
use crate::ports::releases::Receive;

#[derive(Debug)]
enum State {
    /// Images are in the pipeline.
    Held,
    /// All images have ended; the message is to be settled at `not_before` or later.
    Due { settlement: Settlement, attempts: u32, not_before: Instant },
    /// The call that settles the message is on its way.
    Settling { settlement: Settlement, attempts: u32 },
}

impl State {
    /// Returns whether the message is being given back.
    fn releases(&self) -> bool {
        match self {
            Self::Due { settlement, .. } | Self::Settling { settlement, .. } => {
                matches!(settlement, Settlement::Release { .. })
            }
            Self::Held => false,
        }
    }
}

#[derive(Debug)]
struct Entry {
    handle: Handle,
    receive: Receive,
    opened: Instant,
    expires: Instant,
    renewed: Instant,
    /// A call that renews this lease is on its way.
    renewing: bool,
    lost: bool,
    open: usize,
    parts: Vec<EndedImage>,
    state: State,
}

impl Entry {
    /// Returns whether the settlement must wait for a renewal that is on its way. A renewal that arrives after a
    /// release would hide the message for a whole lease; one that arrives after a delete changes nothing.
    fn waits_for_renewal(&self) -> bool {
        self.renewing && self.state.releases()
    }
}

#[derive(Debug)]
struct Inner {
    next: u64,
    entries: BTreeMap<u64, Entry>,
    released: u64,
    lost: u64,
    dropped: Dropped,
}

/// The outcome of a lease that is dropped before it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dropped {
    /// The image fails: work on it ended at an unexpected place.
    Fails,
    /// The image is released: the run ends and gives everything back, for a reason that has nothing to do with the
    /// image.
    HandedBack,
    /// The image fails: the run ends because something hangs, and any image may be the cause.
    Hangs,
}

/// The rules by which leases are renewed and given back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LeaseRules {
    /// How long a lease lasts without a renewal.
    pub(crate) visibility: Duration,
    /// The longest time for which a lease is renewed.
    pub(crate) bound: Duration,
    /// Time until a message whose lease was dropped becomes visible again.
    pub(crate) drop_delay: Duration,
    /// An injected bug: a lease that was lost is settled all the same. No port sees the difference between a lease that
    /// ended well and one that was lost, so this bug cannot be a decorator of a port.
    pub(crate) settles_lost: bool,
}

/// The table of all leases of one pipeline, with the settlements that are not done.
#[derive(Debug)]
pub(crate) struct LeaseTable {
    rules: LeaseRules,
    stats: RunStats,
    inner: Mutex<Inner>,
    /// Signals that a settlement became due.
    pub(crate) due: Notify,
    /// Signals that an entry left the table.
    pub(crate) left: Notify,
}

impl LeaseTable {
    /// Creates an empty table, which counts in `stats` how leases end.
    pub(crate) fn new(rules: LeaseRules, stats: RunStats) -> Arc<Self> {
        let inner = Inner { next: 0, entries: BTreeMap::new(), released: 0, lost: 0, dropped: Dropped::Fails };
        Arc::new(Self { rules, stats, inner: Mutex::new(inner), due: Notify::new(), left: Notify::new() })
    }

    /// Opens one lease for each image that a message names. A message without images is due for deletion at once.
    pub(crate) fn open(self: &Arc<Self>, delivery: &Delivery, images: Vec<Option<Locator>>) -> Vec<Lease> {
        let now = Instant::now();
        self.stats.note(|p| p.fetched += images.len() as u64);
        let mut inner = self.inner.lock();
        let id = inner.next;
        inner.next += 1;
        let state = match images.len() {
            0 => State::Due { settlement: Settlement::Ack, attempts: 0, not_before: now },
            _ => State::Held,
        };
        let entry = Entry {
            handle: delivery.handle.clone(),
            receive: delivery.receive(),
            opened: now,
            expires: now + self.rules.visibility,
            renewed: now,
            renewing: false,
            lost: false,
            open: images.len(),
            parts: Vec::new(),
            state,
        };
        inner.entries.insert(id, entry);
        drop(inner);
        self.due.notify_one();
        images.into_iter().map(|locator| Lease::new(Arc::clone(self), id, locator)).collect()
    }

    /// Records that one image of entry `id` ended.
    pub(crate) fn end(&self, id: u64, part: EndedImage) {
        let mut inner = self.inner.lock();
        let Some(entry) = inner.entries.get_mut(&id) else {
            // The table was abandoned at the end of a drain.
            drop(inner);
            self.stats.ended(part.locator, LeaseOutcome::LeaseLost);
            return;
        };
        entry.parts.push(part);
        entry.open = entry.open.saturating_sub(1);
        if entry.open > 0 {
            return;
        }
        if entry.lost && self.rules.settles_lost {
            entry.state = State::Due { settlement: Settlement::Ack, attempts: 0, not_before: Instant::now() };
            self.due.notify_one();
        } else if entry.lost {
            self.remove_lost(&mut inner, id);
        } else {
            entry.state = State::Due { settlement: settlement(&entry.parts), attempts: 0, not_before: Instant::now() };
            self.due.notify_one();
        }
    }

    /// Removes an entry and counts its images by how they ended.
    fn remove(&self, inner: &mut Inner, id: u64, fate: impl Fn(Outcome) -> LeaseOutcome) {
        if let Some(entry) = inner.entries.remove(&id) {
            for EndedImage { locator, end, .. } in entry.parts {
                self.stats.ended(locator, fate(end));
            }
            // Images still in the pipeline count themselves when they end.
            self.left.notify_waiters();
        }
    }

    /// Removes an entry that is not known to be settled. Its message comes again when the lease ends.
    fn remove_lost(&self, inner: &mut Inner, id: u64) {
        inner.lost += u64::from(inner.entries.contains_key(&id));
        self.remove(inner, id, |_| LeaseOutcome::LeaseLost);
    }

    /// Returns the number of messages whose leases are open or not settled.
    #[cfg(feature = "sim")]
    pub(crate) fn len(&self) -> usize {
        self.inner.lock().entries.len()
    }

    /// Returns whether every lease is settled.
    pub(crate) fn is_empty(&self) -> bool {
        self.inner.lock().entries.is_empty()
    }

    /// Returns the number of images in the pipeline.
    pub(crate) fn open_images(&self) -> usize {
        self.inner.lock().entries.values().map(|entry| entry.open).sum()
    }

    /// Returns the number of messages that were given back so far.
    pub(crate) fn released(&self) -> u64 {
        self.inner.lock().released
    }

    /// Returns the number of messages whose lease was lost so far. It includes messages without images, which no count
    /// of images includes.
    #[cfg(feature = "sim")]
    pub(crate) fn lost_messages(&self) -> u64 {
        self.inner.lock().lost
    }

    /// Returns the time until a message whose lease is dropped now becomes visible again.
    pub(crate) fn drop_delay(&self) -> Duration {
        match self.inner.lock().dropped {
            Dropped::Fails => self.rules.drop_delay,
            Dropped::HandedBack | Dropped::Hangs => Duration::ZERO,
        }
    }

    /// Returns the outcome of a lease that is dropped now. `panicking` says whether a panic drops it.
    pub(crate) fn dropped(&self, panicking: bool) -> Outcome {
        let delay = self.drop_delay();
        match self.inner.lock().dropped {
            Dropped::HandedBack if !panicking => Outcome::Release(delay),
            Dropped::Fails | Dropped::HandedBack | Dropped::Hangs => Outcome::Fail(delay),
        }
    }

    /// Makes every message whose lease is dropped from now on visible to other workers at once. With `hangs`, the
    /// images of these leases count as possible causes.
    pub(crate) fn hand_back(&self, hangs: bool) {
        self.inner.lock().dropped = if hangs { Dropped::Hangs } else { Dropped::HandedBack };
    }

    /// Gives up all entries because the time for settling is over, and returns their number. Their messages come again
    /// when the leases end.
    pub(crate) fn abandon(&self) -> usize {
        let mut inner = self.inner.lock();
        let left: Vec<u64> = inner.entries.keys().copied().collect();
        for id in &left {
            self.remove_lost(&mut inner, *id);
        }
        left.len()
    }
}

#[cfg(test)]
mod tests;
