//! A strict fake of a queue: visibility, duplicates, any order, stale handles, copies after a delete, partial failures, lost
//! replies, a clock of its own.

mod faulty_queue;

use std::ops::Add;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use tokio::time::Instant;

use crate::domain::image::{ImageState, Rejection};
use crate::ports::queue::{Delivery, Handle, SettleOutcome};
use crate::ports::releases::{LocalReleases, Receive};
use crate::sim::host::Host;
use crate::sim::notifications::{Notification, notifications};
pub(crate) use crate::sim::queue::faulty_queue::FaultyQueue;
use crate::sim::store::SimFaces;
use crate::sim::world::World;

/// A long poll.
const POLL: Duration = Duration::from_secs(20);

#[derive(Clone, Debug, PartialEq)]
pub(super) enum DeliveryState {
    Queued,
    Deleted,
    Dead(Rejection),
}

/// A number of messages, and of the images (or galleries) that these name.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct MessageCount {
    pub(super) messages: u64,
    pub(super) images: u64,
}

impl Add for MessageCount {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { messages: self.messages + other.messages, images: self.images + other.images }
    }
}

/// The only receipt that settles.
struct SimLease {
    handle: Handle,
    until: Instant,
    holder: usize,
    /// The answer that brought it was heard.
    told: bool,
    /// Given back. While its delay lasts, or until somebody else receives the message, SQS still obeys the receipt.
    released: bool,
}

struct SentMessage {
    body: String,
    /// Images that it names.
    images: Vec<usize>,
    receives: u32,
    /// Most receives without an end that it ever had.
    deaths: u32,
    visible: Instant,
    /// Delivered once more then, whoever has it.
    again: Option<Instant>,
    lease: Option<SimLease>,
    fate: DeliveryState,
    /// It came back once after it was deleted.
    copied: bool,
}

impl SentMessage {
    fn new(Notification { body, images, delay }: Notification) -> Self {
        let visible = Instant::now() + delay;
        Self {
            body,
            images,
            receives: 0,
            deaths: 0,
            visible,
            again: None,
            lease: None,
            fate: DeliveryState::Queued,
            copied: false,
        }
    }

    fn is_ready(&self, now: Instant) -> bool {
        self.fate == DeliveryState::Queued && (self.visible <= now || self.again.is_some_and(|at| at <= now))
    }
}

struct State {
    messages: Vec<SentMessage>,
    serial: u64,
    /// Messages that have not ended.
    open: usize,
    /// All before this have ended.
    first: usize,
}

/// A queue of the simulated world.
#[derive(Clone)]
pub(crate) struct SimQueue {
    world: World,
    name: &'static str,
    /// Says that it is finished when nothing is left, as a folder does.
    finishes: bool,
    visibility: Duration,
    /// What must be true of the store when an image is settled; a queue of galleries has nothing to look at.
    store: Option<SimFaces>,
    releases: Arc<LocalReleases>,
    state: Arc<Mutex<State>>,
}

/// Which message a handle is of.
fn number(handle: &Handle) -> Option<usize> {
    handle.0.split_once('#')?.0.parse().ok()
}

impl SimQueue {
    fn new(world: &World, name: &'static str, store: Option<SimFaces>, messages: Vec<SentMessage>) -> Self {
        let (visibility, fleet) = world.look(|s| (s.visibility, s.fleet.is_some()));
        let open = messages.len();
        let state = Arc::new(Mutex::new(State { messages, serial: 0, open, first: 0 }));
        Self { world: world.clone(), name, finishes: !fleet, visibility, store, releases: Arc::default(), state }
    }

    /// The messages about the images of a world.
    pub(crate) fn for_images(world: &World, store: &SimFaces) -> Self {
        let messages = notifications(world).into_iter().map(SentMessage::new).collect();
        Self::new(world, "images", Some(store.clone()), messages)
    }

    /// An empty queue of galleries.
    pub(crate) fn for_galleries(world: &World) -> Self {
        Self::new(world, "galleries", None, Vec::new())
    }

    /// For the worker of this machine.
    pub(crate) fn at(&self, host: &Host) -> FaultyQueue {
        FaultyQueue { queue: self.clone(), host: host.clone() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// Messages that have not ended.
    pub(super) fn open(&self) -> usize {
        self.lock().open
    }

    /// Every message: the images that it names, how it ended, and how many of its receives had no end, at
    /// most.
    pub(super) fn ended(&self) -> Vec<(Vec<usize>, DeliveryState, u32)> {
        self.lock().messages.iter().map(|m| (m.images.clone(), m.fate.clone(), m.deaths)).collect()
    }

    /// What its workers note about releases.
    pub(crate) fn releases(&self) -> Arc<LocalReleases> {
        Arc::clone(&self.releases)
    }

    /// Whether a message may be deleted that is about image `number`, where this is how it is stored.
    fn is_done(&self, number: usize, stored: Option<ImageState>) -> bool {
        match stored {
            Some(ImageState::Rejected) => self.store.as_ref().is_some_and(|store| store.passed_over(number)),
            stored => stored.is_some(),
        }
    }

    /// The images that message `number` names, and how each is stored; none where there is no store to look at.
    fn stored(&self, number: usize) -> Vec<(usize, Option<ImageState>)> {
        let Some(store) = &self.store else { return Vec::new() };
        let images = self.lock().messages[number].images.clone();
        images.into_iter().map(|image| (image, store.state_of(image))).collect()
    }

    /// What is still invisible to others because of a worker.
    pub(super) fn kept_by(&self, worker: usize) -> MessageCount {
        let now = Instant::now();
        let state = self.lock();
        let kept = |m: &&SentMessage| {
            let held = |l: &SimLease| l.holder == worker && l.told && !l.released && l.until > now;
            m.fate == DeliveryState::Queued && m.lease.as_ref().is_some_and(held)
        };
        // A message of a queue of galleries names one gallery.
        let named = |m: &SentMessage| if self.store.is_some() { m.images.len() as u64 } else { 1 };
        let each = state.messages[state.first..].iter().filter(kept);
        each.fold(MessageCount::default(), |all, m| all + MessageCount { messages: 1, images: named(m) })
    }

    /// A lease ran out: nobody may have held it in good health.
    fn lapsed(&self, number: usize, lease: &SimLease) {
        if lease.told && !lease.released && self.world.keeps_leases(lease.holder) {
            let (name, holder) = (self.name, lease.holder);
            self.world.violation(format!("the lease on message {number} of {name} lapsed under worker {holder}"));
        }
    }

    fn deliver(&self, number: usize, holder: usize) -> Delivery {
        let now = Instant::now();
        // By the queue's clock, which may run fast.
        let length = self.visibility.mul_f64(1.0 - self.world.look(|s| s.drift));
        let again = self.world.chance(|s| s.duplicates);
        let again = again.then(|| now + self.visibility.mul_f64(self.world.below(100) as f64 / 100.0));
        let mut state = self.lock();
        state.serial += 1;
        let handle = Handle(format!("{number}#{}", state.serial));
        let message = &mut state.messages[number];
        message.receives += 1;
        let receive = Receive { message: number.to_string(), number: message.receives };
        message.deaths = message.deaths.max(message.receives - 1 - self.releases.noted(&receive));
        message.visible = now + length;
        message.again = again;
        let lease = SimLease { handle: handle.clone(), until: now + length, holder, told: false, released: false };
        let before = message.lease.replace(lease);
        let (body, receive_count) = (message.body.clone(), message.receives);
        drop(state);
        if let Some(before) = before.filter(|lease| lease.until <= now) {
            self.lapsed(number, &before);
        }
        self.world.note(|| format!("worker {holder}: queue.receive {} {}", self.name, handle.0));
        Delivery { handle, message: receive.message, body, receive_count, trace: None, waited: None }
    }

    /// Up to `max` messages that are visible, in any order; or when the next may be.
    fn take(&self, max: usize, holder: usize) -> Result<Vec<Delivery>, Instant> {
        let now = Instant::now();
        let (mut ready, next) = {
            let mut state = self.lock();
            while state.messages.get(state.first).is_some_and(|m| m.fate != DeliveryState::Queued) {
                state.first += 1;
            }
            let open = state.messages[state.first..].iter().zip(state.first..);
            let ready: Vec<usize> = open.filter(|(m, _)| m.is_ready(now)).map(|(_, number)| number).collect();
            let queued = state.messages[state.first..].iter().filter(|m| m.fate == DeliveryState::Queued);
            (ready, queued.flat_map(|m| m.again.into_iter().chain([m.visible])).min())
        };
        if ready.is_empty() {
            return Err(next.unwrap_or(now + POLL));
        }
        let mut deliveries = Vec::new();
        while !ready.is_empty() && deliveries.len() < max {
            let number = ready.swap_remove(self.world.below(ready.len()));
            deliveries.push(self.deliver(number, holder));
        }
        Ok(deliveries)
    }

    /// The message of a handle, if the handle still settles it.
    fn owned(&self, handle: &Handle) -> Result<usize, SettleOutcome> {
        let now = Instant::now();
        let lenient = self.world.look(|s| s.lenient);
        let state = self.lock();
        let lease = number(handle).and_then(|number| {
            let message = state.messages.get(number).filter(|m| m.fate == DeliveryState::Queued)?;
            message.lease.as_ref().filter(|lease| lease.handle == *handle).map(|lease| (number, lease.until > now))
        });
        match lease {
            Some((number, true)) => Ok(number),
            // Nobody else has received it: SQS obeys.
            Some((number, false)) if lenient => Ok(number),
            // Somebody else has: SQS says that it obeys.
            None if lenient => Err(SettleOutcome::Done),
            Some(_) | None => Err(SettleOutcome::LeaseLost),
        }
    }

    /// A message ended.
    fn end(&self, number: usize, fate: DeliveryState) {
        let copied = fate == DeliveryState::Deleted && self.world.chance(|s| s.copies);
        let wait = self.visibility.mul_f64(self.world.below(100) as f64 / 100.0);
        let mut state = self.lock();
        let message = &mut state.messages[number];
        message.lease = None;
        if copied && !message.copied {
            message.copied = true;
            message.visible = Instant::now() + wait;
            return;
        }
        message.fate = fate;
        state.open -= 1;
    }
}
