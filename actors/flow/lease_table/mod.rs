//! Every open lease and every settlement that is due. It outlives the Keeper: a crash there loses nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;
use tracing::Span;

use crate::domain::image::{Locator, Rejection};
use crate::flow::lease::Lease;
use crate::flow::run_stats::{Done, LeaseOutcome, RunStats};
use crate::ports::queue::{Handle, Settled};

/// How one image of a message ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Ack(Done),
    Release(Duration),
    Reject(Rejection),
}

/// One image of a message, ended.
#[derive(Debug)]
pub(crate) struct EndedImage {
    pub(crate) locator: Option<Locator>,
    pub(crate) end: Outcome,
    pub(crate) span: Span,
}

/// A settlement on its way.
#[derive(Debug)]
pub(crate) struct PendingSettlement {
    pub(crate) id: u64,
    pub(crate) handle: Handle,
    pub(crate) settlement: Settlement,
    /// Of the images that it settles.
    pub(crate) spans: Vec<Span>,
}

/// How a whole message ends. Kinds are ordered: a batch call settles one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Settlement {
    Ack,
    Release(Duration),
    Reject(Rejection),
}

/// The settlement of a message with several images: one that is given back gives the message back; else one that is rejected
/// rejects it.
fn settlement(parts: &[EndedImage]) -> Settlement {
    let release =
        parts.iter().filter_map(|part| if let Outcome::Release(delay) = part.end { Some(delay) } else { None });
    let reject =
        parts.iter().find_map(|part| if let Outcome::Reject(why) = &part.end { Some(why.clone()) } else { None });
    match (release.max(), reject) {
        (Some(delay), _) => Settlement::Release(delay),
        (None, Some(rejection)) => Settlement::Reject(rejection),
        (None, None) => Settlement::Ack,
    }
}

#[derive(Debug)]
enum State {
    /// Images are in the pipeline.
    Held,
    /// All ended; to be settled, not before a time.
    Due { settlement: Settlement, attempts: u32, not_before: Instant },
    /// A call is on its way.
    Settling { settlement: Settlement, attempts: u32 },
}

#[derive(Debug)]
struct Entry {
    handle: Handle,
    opened: Instant,
    expires: Instant,
    renewed: Instant,
    renewing: bool,
    lost: bool,
    open: usize,
    parts: Vec<EndedImage>,
    state: State,
}

#[derive(Debug)]
struct Inner {
    next: u64,
    entries: BTreeMap<u64, Entry>,
    released: u64,
    drop_delay: Duration,
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
        let inner = Inner { next: 0, entries: BTreeMap::new(), released: 0, drop_delay: rules.drop_delay };
        Arc::new(Self { rules, stats, inner: Mutex::new(inner), due: Notify::new(), left: Notify::new() })
    }

    /// Opens a lease for each image that a message names. A message that names none is deleted.
    pub(crate) fn open(self: &Arc<Self>, handle: Handle, images: Vec<Option<Locator>>) -> Vec<Lease> {
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
            handle,
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
            self.remove(&mut inner, id, |_| LeaseOutcome::LeaseLost);
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

    /// Up to `max` due settlements of one kind, now on their way.
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
                (Some(Settlement::Release(first)), Settlement::Release(delay)) => first == delay,
                (Some(first), settlement) => std::mem::discriminant(first) == std::mem::discriminant(settlement),
            };
            if *not_before <= now && same_kind {
                let (settlement, attempts) = (settlement.clone(), *attempts);
                let spans = entry.parts.iter().map(|part| part.span.clone()).collect();
                taken.push(PendingSettlement {
                    id: *id,
                    handle: entry.handle.clone(),
                    settlement: settlement.clone(),
                    spans,
                });
                entry.state = State::Settling { settlement, attempts };
            }
        }
        taken
    }

    /// How often entry `id` has failed to settle.
    pub(crate) fn attempts(&self, id: u64) -> u32 {
        match self.inner.lock().entries.get(&id).map(|entry| &entry.state) {
            Some(State::Due { attempts, .. } | State::Settling { attempts, .. }) => *attempts,
            Some(State::Held) | None => 0,
        }
    }

    /// What came of settling entry `id`; a failed one is due again after `wait`, or given up where that is `None`.
    pub(crate) fn settled(&self, id: u64, settled: &Settled, wait: Option<Duration>) {
        let mut inner = self.inner.lock();
        match (settled, wait) {
            (Settled::Done, _) => {
                let released = matches!(
                    inner.entries.get(&id).map(|e| &e.state),
                    Some(State::Settling { settlement: Settlement::Release(_), .. })
                );
                inner.released += u64::from(released);
                self.remove(&mut inner, id, |end| match end {
                    Outcome::Ack(done) => LeaseOutcome::Acked(done),
                    Outcome::Release(_) => LeaseOutcome::Released,
                    Outcome::Reject(rejection) => LeaseOutcome::Rejected(rejection),
                });
            }
            (Settled::Failed(_), Some(wait)) => {
                if let Some(entry) = inner.entries.get_mut(&id)
                    && let State::Settling { settlement, attempts } = &entry.state
                {
                    let (settlement, attempts) = (settlement.clone(), attempts + 1);
                    entry.state = State::Due { settlement, attempts, not_before: Instant::now() + wait };
                    // The Keeper may be asleep for longer than `wait`.
                    self.due.notify_one();
                }
            }
            (Settled::LeaseLost, _) | (Settled::Failed(_), None) => {
                self.remove(&mut inner, id, |_| LeaseOutcome::LeaseLost);
            }
        }
    }

    /// A new Keeper takes over what the dead one had on its way.
    pub(crate) fn reclaim(&self) {
        let now = Instant::now();
        for entry in self.inner.lock().entries.values_mut() {
            entry.renewing = false;
            if let State::Settling { settlement, attempts } = &entry.state {
                entry.state = State::Due { settlement: settlement.clone(), attempts: *attempts, not_before: now };
            }
        }
    }

    /// Up to `max` leases older than `age`, marked as being renewed. One that was held for too long is let go: whatever
    /// keeps it would keep it for ever.
    pub(crate) fn take_stale(&self, age: Duration, max: usize) -> Vec<(u64, Handle)> {
        let now = Instant::now();
        let mut inner = self.inner.lock();
        self.expire(&mut inner, now);
        let mut stale = Vec::new();
        for (id, entry) in &mut inner.entries {
            let settling = matches!(entry.state, State::Settling { .. });
            if now - entry.opened >= self.rules.bound {
                continue;
            }
            if stale.len() < max && !entry.lost && !entry.renewing && !settling && now - entry.renewed >= age {
                entry.renewing = true;
                stale.push((*id, entry.handle.clone()));
            }
        }
        stale
    }

    /// What came of renewing entry `id` by a call that began at `asked`.
    pub(crate) fn renewed(&self, id: u64, asked: Instant, settled: &Settled) {
        let mut inner = self.inner.lock();
        let Some(entry) = inner.entries.get_mut(&id) else { return };
        entry.renewing = false;
        match settled {
            Settled::Done => {
                entry.renewed = asked;
                entry.expires = asked + self.rules.visibility;
            }
            Settled::LeaseLost if matches!(entry.state, State::Settling { .. }) => {}
            Settled::LeaseLost => self.lose(&mut inner, id),
            Settled::Failed(_) => {}
        }
    }

    fn lose(&self, inner: &mut Inner, id: u64) {
        let Some(entry) = inner.entries.get_mut(&id) else { return };
        entry.lost = true;
        if entry.open == 0 {
            self.remove(inner, id, |_| LeaseOutcome::LeaseLost);
        }
    }

    /// Leases that ran out without a renewal are not ours any more, whatever the queue would say.
    fn expire(&self, inner: &mut Inner, now: Instant) {
        let settling = |entry: &Entry| matches!(entry.state, State::Settling { .. });
        let gone: Vec<u64> = inner
            .entries
            .iter()
            .filter(|(_, entry)| !entry.lost && entry.expires <= now && !settling(entry))
            .map(|(id, _)| *id)
            .collect();
        for id in gone {
            self.lose(inner, id);
        }
    }

    /// When the next settlement that waits becomes due.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        let inner = self.inner.lock();
        let due = |entry: &Entry| match entry.state {
            State::Due { not_before, .. } => Some(not_before),
            State::Held | State::Settling { .. } => None,
        };
        inner.entries.values().filter_map(due).min()
    }

    /// Whether entry `id` is known to be lost.
    pub(crate) fn lost(&self, id: u64) -> bool {
        self.inner.lock().entries.get(&id).is_none_or(|entry| entry.lost)
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

    /// Settlements that are not done.
    pub(crate) fn unsettled(&self) -> usize {
        self.inner.lock().entries.values().filter(|entry| !matches!(entry.state, State::Held)).count()
    }

    /// Messages given back so far.
    pub(crate) fn released(&self) -> u64 {
        self.inner.lock().released
    }

    /// After how long a dropped lease is visible again.
    pub(crate) fn drop_delay(&self) -> Duration {
        self.inner.lock().drop_delay
    }

    /// From now on what is dropped is visible to others at once.
    pub(crate) fn hand_back(&self) {
        self.inner.lock().drop_delay = Duration::ZERO;
    }

    /// The time for settling is over: what is left lapses in the queue by itself.
    pub(crate) fn abandon(&self) -> usize {
        let mut inner = self.inner.lock();
        let left: Vec<u64> = inner.entries.keys().copied().collect();
        for id in &left {
            self.remove(&mut inner, *id, |_| LeaseOutcome::LeaseLost);
        }
        left.len()
    }
}

#[cfg(test)]
mod tests;
