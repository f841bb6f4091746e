//! Every open lease and every settlement that is due. It outlives the LeaseManager: a crash there loses nothing.

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
    /// All ended; to be settled, not before a time.
    Due { settlement: Settlement, attempts: u32, not_before: Instant },
    /// A call is on its way.
    Settling { settlement: Settlement, attempts: u32 },
}

impl State {
    /// The message is to be given back.
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
    /// A renewal is on its way.
    renewing: bool,
    lost: bool,
    open: usize,
    parts: Vec<EndedImage>,
    state: State,
}

impl Entry {
    /// Whether its settlement must wait for a renewal that is on its way: one that arrives after the release would hide the
    /// message for a whole lease. A renewal that arrives after a delete changes nothing.
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

/// What a lease that is dropped says of its image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dropped {
    /// Work on it ended where it should not have.
    Fails,
    /// Everything is given back because the run ends; the image has nothing to do with that.
    HandedBack,
    /// Everything is given back because something hangs, and any image may be why.
    Hangs,
}

/// How leases are kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LeaseRules {
    /// How long a lease lasts without a renewal.
    pub(crate) visibility: Duration,
    /// A lease is renewed for at most so long.
    pub(crate) bound: Duration,
    /// After how long a message is visible again whose lease was dropped.
    pub(crate) drop_delay: Duration,
    /// An injected bug: a lease that was lost is settled all the same. No port sees the difference between a lease that ended
    /// well and one that was lost, so this bug cannot be a decorator of a port.
    pub(crate) settles_lost: bool,
}

/// Every lease of a pipeline, and every settlement that is not done.
#[derive(Debug)]
pub(crate) struct LeaseTable {
    rules: LeaseRules,
    stats: RunStats,
    inner: Mutex<Inner>,
    /// A settlement became due.
    pub(crate) due: Notify,
    /// An entry left the table.
    pub(crate) left: Notify,
}

impl LeaseTable {
    /// An empty table, which counts in `stats` how leases end.
    pub(crate) fn new(rules: LeaseRules, stats: RunStats) -> Arc<Self> {
        let inner = Inner { next: 0, entries: BTreeMap::new(), released: 0, lost: 0, dropped: Dropped::Fails };
        Arc::new(Self { rules, stats, inner: Mutex::new(inner), due: Notify::new(), left: Notify::new() })
    }

    /// Opens a lease for each image that a message names. A message that names none is deleted.
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

    /// One image of entry `id` ended.
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

    /// Takes an entry out and counts its images.
    fn remove(&self, inner: &mut Inner, id: u64, fate: impl Fn(Outcome) -> LeaseOutcome) {
        if let Some(entry) = inner.entries.remove(&id) {
            for EndedImage { locator, end, .. } in entry.parts {
                self.stats.ended(locator, fate(end));
            }
            // Images still in the pipeline count themselves when they end.
            self.left.notify_waiters();
        }
    }

    /// Takes an entry out that was not settled as far as is known: the message comes again when its lease ends.
    fn remove_lost(&self, inner: &mut Inner, id: u64) {
        inner.lost += u64::from(inner.entries.contains_key(&id));
        self.remove(inner, id, |_| LeaseOutcome::LeaseLost);
    }

    /// Leases that are open or not settled yet.
    #[cfg(feature = "sim")]
    pub(crate) fn len(&self) -> usize {
        self.inner.lock().entries.len()
    }

    /// Whether every lease is settled.
    pub(crate) fn is_empty(&self) -> bool {
        self.inner.lock().entries.is_empty()
    }

    /// Images in the pipeline.
    pub(crate) fn open_images(&self) -> usize {
        self.inner.lock().entries.values().map(|entry| entry.open).sum()
    }

    /// Messages given back so far.
    pub(crate) fn released(&self) -> u64 {
        self.inner.lock().released
    }

    /// Messages so far whose lease was lost. A message that names no image counts too, and as an image it counts nowhere.
    #[cfg(feature = "sim")]
    pub(crate) fn lost_messages(&self) -> u64 {
        self.inner.lock().lost
    }

    /// After how long a dropped lease is visible again.
    pub(crate) fn drop_delay(&self) -> Duration {
        match self.inner.lock().dropped {
            Dropped::Fails => self.rules.drop_delay,
            Dropped::HandedBack | Dropped::Hangs => Duration::ZERO,
        }
    }

    /// How a lease ends that is dropped.
    pub(crate) fn dropped(&self, panicking: bool) -> Outcome {
        let delay = self.drop_delay();
        match self.inner.lock().dropped {
            Dropped::HandedBack if !panicking => Outcome::Release(delay),
            Dropped::Fails | Dropped::HandedBack | Dropped::Hangs => Outcome::Fail(delay),
        }
    }

    /// From now on what is dropped is visible to others at once. Where something `hangs`, it may be what hangs it.
    pub(crate) fn hand_back(&self, hangs: bool) {
        self.inner.lock().dropped = if hangs { Dropped::Hangs } else { Dropped::HandedBack };
    }

    /// The time for settling is over: what is left lapses in the queue by itself.
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
