//! Every open lease and every settlement that is due. It outlives the Keeper: a crash there loses nothing.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::image::{ImageState, Locator, Rejection};
use crate::lease::Lease;
use crate::ledger::{Fate, Ledger};
use crate::ports::queue::{Handle, Settled};

/// How one image of a message ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Ack(ImageState),
    Release(Duration),
    Reject(Rejection),
}

/// How a whole message ends. Kinds are ordered: a batch call settles one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Ack,
    Release(Duration),
    Reject(Rejection),
}

/// Of a message with several images: one given back gives the message back; else one rejected rejects it.
fn ending(parts: &[(Option<Locator>, End)]) -> Ending {
    let release = parts.iter().filter_map(|(_, end)| if let End::Release(delay) = end { Some(*delay) } else { None });
    let reject = parts.iter().find_map(|(_, end)| if let End::Reject(why) = end { Some(why.clone()) } else { None });
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
    expires: Instant,
    renewed: Instant,
    renewing: bool,
    lost: bool,
    open: usize,
    parts: Vec<(Option<Locator>, End)>,
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
    ledger: Ledger,
    inner: Mutex<Inner>,
    /// A settlement became due.
    pub(crate) due: Notify,
    /// An entry left the book.
    pub(crate) left: Notify,
}

impl Book {
    pub(crate) fn new(visibility: Duration, drop_delay: Duration, ledger: Ledger) -> Arc<Self> {
        let inner = Inner { next: 0, entries: BTreeMap::new(), released: 0, drop_delay };
        Arc::new(Self { visibility, ledger, inner: Mutex::new(inner), due: Notify::new(), left: Notify::new() })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
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
    pub(crate) fn end(&self, id: u64, locator: Option<Locator>, end: End) {
        let mut inner = self.lock();
        let Some(entry) = inner.entries.get_mut(&id) else {
            // The book was abandoned at the end of a drain.
            drop(inner);
            self.ledger.ended(locator, Fate::LeaseLost);
            return;
        };
        entry.parts.push((locator, end));
        entry.open = entry.open.saturating_sub(1);
        if entry.open > 0 {
            return;
        }
        if entry.lost {
            self.remove(&mut inner, id, |_| Fate::LeaseLost);
        } else {
            entry.state = State::Due { ending: ending(&entry.parts), attempts: 0, not_before: Instant::now() };
            self.due.notify_one();
        }
    }

    /// Takes an entry out and counts its images.
    fn remove(&self, inner: &mut Inner, id: u64, fate: impl Fn(End) -> Fate) {
        if let Some(entry) = inner.entries.remove(&id) {
            for (locator, end) in entry.parts {
                self.ledger.ended(locator, fate(end));
            }
            // Images still in the pipeline count themselves when they end.
            self.left.notify_waiters();
        }
    }

    /// Up to `max` due settlements of one kind, now on their way.
    pub(crate) fn take_due(&self, max: usize) -> Vec<(u64, Handle, Ending)> {
        let now = Instant::now();
        let mut inner = self.lock();
        self.expire(&mut inner, now);
        let mut taken: Vec<(u64, Handle, Ending)> = Vec::new();
        for (id, entry) in &mut inner.entries {
            if taken.len() == max {
                break;
            }
            let State::Due { ending, attempts, not_before } = &entry.state else { continue };
            let same_kind = match (taken.first().map(|(_, _, first)| first), ending) {
                (None, _) => true,
                (Some(Ending::Release(first)), Ending::Release(delay)) => first == delay,
                (Some(first), ending) => std::mem::discriminant(first) == std::mem::discriminant(ending),
            };
            if *not_before <= now && same_kind {
                let (ending, attempts) = (ending.clone(), *attempts);
                taken.push((*id, entry.handle.clone(), ending.clone()));
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
                    End::Ack(state) => Fate::Acked(state),
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

    /// Up to `max` leases older than `age`, marked as being renewed.
    pub(crate) fn take_stale(&self, age: Duration, max: usize) -> Vec<(u64, Handle)> {
        let now = Instant::now();
        let mut inner = self.lock();
        self.expire(&mut inner, now);
        let mut stale = Vec::new();
        for (id, entry) in &mut inner.entries {
            let settling = matches!(entry.state, State::Settling { .. });
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
mod tests {
    use super::*;
    use crate::gallery::GalleryId;
    use crate::image::RejectReason;

    const VISIBILITY: Duration = Duration::from_secs(30);

    fn book() -> (Arc<Book>, Ledger) {
        let ledger = Ledger::new(10);
        (Book::new(VISIBILITY, Duration::from_secs(1), ledger.clone()), ledger)
    }

    fn open(book: &Arc<Book>, images: usize) -> Vec<Lease> {
        let locator = |n: usize| Locator { gallery: GalleryId("g".into()), bucket: "b".into(), key: n.to_string() };
        book.open(Handle("h".into()), (0..images).map(|n| Some(locator(n))).collect())
    }

    fn rejection() -> Rejection {
        Rejection::new(RejectReason::Corrupt, "a test")
    }

    #[tokio::test(start_paused = true)]
    async fn a_dropped_lease_is_released_and_an_ended_one_ends_once() {
        let (book, ledger) = book();
        drop(open(&book, 1));
        open(&book, 1).into_iter().for_each(|lease| lease.ack(ImageState::NoFaces));
        let released = book.take_due(10);
        assert_eq!(released.iter().map(|(_, _, e)| e.clone()).collect::<Vec<_>>(), [Ending::Release(VISIBILITY / 30)]);
        let acked = book.take_due(10);
        assert_eq!(acked.iter().map(|(_, _, e)| e.clone()).collect::<Vec<_>>(), [Ending::Ack]);
        for (id, _, _) in released.iter().chain(&acked) {
            book.settled(*id, &Settled::Done, None);
        }
        let counts = ledger.progress().counts;
        assert_eq!((counts.released, counts.no_faces, counts.ended(), book.is_empty()), (1, 1, 2, true));
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_with_several_images_ends_when_the_last_does_and_by_the_worst() {
        let (book, ledger) = book();
        let mut leases = open(&book, 3);
        leases.remove(0).ack(ImageState::Indexed);
        leases.remove(0).reject(rejection());
        assert!(book.take_due(10).is_empty());
        leases.remove(0).ack(ImageState::NoFaces);
        let due = book.take_due(10);
        assert!(matches!(due[0].2, Ending::Reject(_)));
        book.settled(due[0].0, &Settled::Done, None);
        let progress = ledger.progress();
        assert_eq!((progress.counts.indexed, progress.counts.no_faces, progress.counts.rejected), (1, 1, 1));
        assert_eq!(progress.rejections[0].rejection, rejection());
    }

    #[tokio::test(start_paused = true)]
    async fn a_lease_that_ran_out_is_counted_lost_and_never_settled() {
        let (book, ledger) = book();
        let mut leases = open(&book, 1);
        tokio::time::advance(VISIBILITY).await;
        assert!(book.take_stale(VISIBILITY / 3, 10).is_empty());
        assert!(leases[0].lost());
        leases.remove(0).ack(ImageState::Indexed);
        assert!(book.take_due(10).is_empty() && book.is_empty());
        assert_eq!(ledger.progress().counts.lease_lost, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failed_settlement_is_due_again_after_its_wait_and_survives_the_keeper() {
        let (book, ledger) = book();
        open(&book, 1).into_iter().for_each(|lease| lease.ack(ImageState::Indexed));
        let due = book.take_due(10);
        book.settled(due[0].0, &Settled::Failed(crate::error::Class::Transient), Some(Duration::from_secs(1)));
        assert!(book.take_due(10).is_empty());
        tokio::time::advance(Duration::from_secs(1)).await;
        let again = book.take_due(10);
        assert_eq!((again.len(), book.attempts(again[0].0)), (1, 1));
        book.reclaim();
        assert_eq!(book.take_due(10).len(), 1);
        book.settled(again[0].0, &Settled::Done, None);
        assert_eq!(ledger.progress().counts.indexed, 1);
    }
}
