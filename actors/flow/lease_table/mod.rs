//! Every open lease and every settlement that is due. It outlives the Keeper: a crash there loses nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;
use tokio::time::Instant;
use tracing::Span;

use crate::domain::image::{Locator, Rejection};
use crate::flow::lease::Lease;
use crate::flow::run_stats::{Done, Fate, Ledger};
use crate::pipeline::settings::Settings;
use crate::plant::Plant;
use crate::ports::queue::{Handle, Settled};

/// How one image of a message ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Ack(Done),
    Release(Duration),
    Reject(Rejection),
}

/// One image of a message, ended.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) locator: Option<Locator>,
    pub(crate) end: End,
    pub(crate) span: Span,
}

/// A settlement on its way.
#[derive(Debug)]
pub(crate) struct Due {
    pub(crate) id: u64,
    pub(crate) handle: Handle,
    pub(crate) ending: Ending,
    /// Of the images that it settles.
    pub(crate) spans: Vec<Span>,
}

/// How a whole message ends. Kinds are ordered: a batch call settles one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Ack,
    Release(Duration),
    Reject(Rejection),
}

/// Of a message with several images: one given back gives the message back; else one rejected rejects it.
fn ending(parts: &[Part]) -> Ending {
    let release = parts.iter().filter_map(|part| if let End::Release(delay) = part.end { Some(delay) } else { None });
    let reject = parts.iter().find_map(|part| if let End::Reject(why) = &part.end { Some(why.clone()) } else { None });
    match (release.max(), reject) {
        (Some(delay), _) => Ending::Release(delay),
        (None, Some(rejection)) => Ending::Reject(rejection),
        (None, None) => Ending::Ack,
    }
}

#[derive(Debug)]
enum State {
    /// Images are in the pipeline.
    Held,
    /// All ended; to be settled, not before a time.
    Due { ending: Ending, attempts: u32, not_before: Instant },
    /// A call is on its way.
    Settling { ending: Ending, attempts: u32 },
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
    parts: Vec<Part>,
    state: State,
}

#[derive(Debug)]
struct Inner {
    next: u64,
    entries: BTreeMap<u64, Entry>,
    released: u64,
    drop_delay: Duration,
}

/// The registry of leases.
#[derive(Debug)]
pub struct Book {
    visibility: Duration,
    bound: Duration,
    ledger: Ledger,
    /// Planted: a lease that was lost is settled all the same.
    settles_lost: bool,
    inner: Mutex<Inner>,
    /// A settlement became due.
    pub(crate) due: Notify,
    /// An entry left the book.
    pub(crate) left: Notify,
}

impl Book {
    /// Leases of `visibility` that are renewed for at most [`KeeperSettings::bound`](crate::pipeline::settings::KeeperSettings).
    pub(crate) fn new(visibility: Duration, settings: &Settings, ledger: Ledger) -> Arc<Self> {
        let inner = Inner { next: 0, entries: BTreeMap::new(), released: 0, drop_delay: settings.drop_delay };
        Arc::new(Self {
            visibility,
            bound: settings.keeper.bound,
            ledger,
            settles_lost: settings.planted(Plant::StaleDelete),
            inner: Mutex::new(inner),
            due: Notify::new(),
            left: Notify::new(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock()
    }

    /// Opens a lease for each image that a message names. A message that names none is deleted.
    pub(crate) fn open(self: &Arc<Self>, handle: Handle, images: Vec<Option<Locator>>) -> Vec<Lease> {
        let now = Instant::now();
        self.ledger.note(|p| p.fetched += images.len() as u64);
        let mut inner = self.lock();
        let id = inner.next;
        inner.next += 1;
        let state = match images.len() {
            0 => State::Due { ending: Ending::Ack, attempts: 0, not_before: now },
            _ => State::Held,
        };
        let entry = Entry {
            handle,
            opened: now,
            expires: now + self.visibility,
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
    pub(crate) fn end(&self, id: u64, part: Part) {
        let mut inner = self.lock();
        let Some(entry) = inner.entries.get_mut(&id) else {
            // The book was abandoned at the end of a drain.
            drop(inner);
            self.ledger.ended(part.locator, Fate::LeaseLost);
            return;
        };
        entry.parts.push(part);
        entry.open = entry.open.saturating_sub(1);
        if entry.open > 0 {
            return;
        }
        if entry.lost && self.settles_lost {
            entry.state = State::Due { ending: Ending::Ack, attempts: 0, not_before: Instant::now() };
            self.due.notify_one();
        } else if entry.lost {
            self.remove(&mut inner, id, |_| Fate::LeaseLost);
        } else {
            entry.state = State::Due { ending: ending(&entry.parts), attempts: 0, not_before: Instant::now() };
            self.due.notify_one();
        }
    }

    /// Takes an entry out and counts its images.
    fn remove(&self, inner: &mut Inner, id: u64, fate: impl Fn(End) -> Fate) {
        if let Some(entry) = inner.entries.remove(&id) {
            for Part { locator, end, .. } in entry.parts {
                self.ledger.ended(locator, fate(end));
            }
            // Images still in the pipeline count themselves when they end.
            self.left.notify_waiters();
        }
    }

    /// Up to `max` due settlements of one kind, now on their way.
    pub(crate) fn take_due(&self, max: usize) -> Vec<Due> {
        let now = Instant::now();
        let mut inner = self.lock();
        self.expire(&mut inner, now);
        let mut taken: Vec<Due> = Vec::new();
        for (id, entry) in &mut inner.entries {
            if taken.len() == max {
                break;
            }
            let State::Due { ending, attempts, not_before } = &entry.state else { continue };
            let same_kind = match (taken.first().map(|first| &first.ending), ending) {
                (None, _) => true,
                (Some(Ending::Release(first)), Ending::Release(delay)) => first == delay,
                (Some(first), ending) => std::mem::discriminant(first) == std::mem::discriminant(ending),
            };
            if *not_before <= now && same_kind {
                let (ending, attempts) = (ending.clone(), *attempts);
                let spans = entry.parts.iter().map(|part| part.span.clone()).collect();
                taken.push(Due { id: *id, handle: entry.handle.clone(), ending: ending.clone(), spans });
                entry.state = State::Settling { ending, attempts };
            }
        }
        taken
    }

    /// How often entry `id` has failed to settle.
    pub(crate) fn attempts(&self, id: u64) -> u32 {
        match self.lock().entries.get(&id).map(|entry| &entry.state) {
            Some(State::Due { attempts, .. } | State::Settling { attempts, .. }) => *attempts,
            Some(State::Held) | None => 0,
        }
    }

    /// What came of settling entry `id`; a failed one is due again after `wait`, or given up where that is `None`.
    pub(crate) fn settled(&self, id: u64, settled: &Settled, wait: Option<Duration>) {
        let mut inner = self.lock();
        match (settled, wait) {
            (Settled::Done, _) => {
                let released = matches!(
                    inner.entries.get(&id).map(|e| &e.state),
                    Some(State::Settling { ending: Ending::Release(_), .. })
                );
                inner.released += u64::from(released);
                self.remove(&mut inner, id, |end| match end {
                    End::Ack(done) => Fate::Acked(done),
                    End::Release(_) => Fate::Released,
                    End::Reject(rejection) => Fate::Rejected(rejection),
                });
            }
            (Settled::Failed(_), Some(wait)) => {
                if let Some(entry) = inner.entries.get_mut(&id)
                    && let State::Settling { ending, attempts } = &entry.state
                {
                    let (ending, attempts) = (ending.clone(), attempts + 1);
                    entry.state = State::Due { ending, attempts, not_before: Instant::now() + wait };
                    // The Keeper may be asleep for longer than `wait`.
                    self.due.notify_one();
                }
            }
            (Settled::LeaseLost, _) | (Settled::Failed(_), None) => {
                self.remove(&mut inner, id, |_| Fate::LeaseLost);
            }
        }
    }

    /// A new Keeper takes over what the dead one had on its way.
    pub(crate) fn reclaim(&self) {
        let now = Instant::now();
        for entry in self.lock().entries.values_mut() {
            entry.renewing = false;
            if let State::Settling { ending, attempts } = &entry.state {
                entry.state = State::Due { ending: ending.clone(), attempts: *attempts, not_before: now };
            }
        }
    }

    /// Up to `max` leases older than `age`, marked as being renewed. One that was held for too long is let go: whatever
    /// keeps it would keep it for ever.
    pub(crate) fn take_stale(&self, age: Duration, max: usize) -> Vec<(u64, Handle)> {
        let now = Instant::now();
        let mut inner = self.lock();
        self.expire(&mut inner, now);
        let mut stale = Vec::new();
        for (id, entry) in &mut inner.entries {
            let settling = matches!(entry.state, State::Settling { .. });
            if now - entry.opened >= self.bound {
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
        let mut inner = self.lock();
        let Some(entry) = inner.entries.get_mut(&id) else { return };
        entry.renewing = false;
        match settled {
            Settled::Done => {
                entry.renewed = asked;
                entry.expires = asked + self.visibility;
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
            self.remove(inner, id, |_| Fate::LeaseLost);
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
        let inner = self.lock();
        let due = |entry: &Entry| match entry.state {
            State::Due { not_before, .. } => Some(not_before),
            State::Held | State::Settling { .. } => None,
        };
        inner.entries.values().filter_map(due).min()
    }

    /// Whether entry `id` is known to be lost.
    pub(crate) fn lost(&self, id: u64) -> bool {
        self.lock().entries.get(&id).is_none_or(|entry| entry.lost)
    }

    /// Leases that are open or not settled yet.
    pub fn len(&self) -> usize {
        self.lock().entries.len()
    }

    /// Whether every lease is settled.
    pub fn is_empty(&self) -> bool {
        self.lock().entries.is_empty()
    }

    /// Images in the pipeline.
    pub(crate) fn open_images(&self) -> usize {
        self.lock().entries.values().map(|entry| entry.open).sum()
    }

    /// Settlements that are not done.
    pub(crate) fn unsettled(&self) -> usize {
        self.lock().entries.values().filter(|entry| !matches!(entry.state, State::Held)).count()
    }

    /// Messages given back so far.
    pub(crate) fn released(&self) -> u64 {
        self.lock().released
    }

    /// After how long a dropped lease is visible again.
    pub(crate) fn drop_delay(&self) -> Duration {
        self.lock().drop_delay
    }

    /// From now on what is dropped is visible to others at once.
    pub(crate) fn hand_back(&self) {
        self.lock().drop_delay = Duration::ZERO;
    }

    /// The time for settling is over: what is left lapses in the queue by itself.
    pub(crate) fn abandon(&self) -> usize {
        let mut inner = self.lock();
        let left: Vec<u64> = inner.entries.keys().copied().collect();
        for id in &left {
            self.remove(&mut inner, *id, |_| Fate::LeaseLost);
        }
        left.len()
    }
}

#[cfg(test)]
mod tests;
