//! A strict fake of a queue: visibility, duplicates, any order, stale handles, partial failures, lost replies.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::{Instant, sleep_until};

use crate::error::Class;
use crate::image::{ImageState, RejectReason, Rejection};
use crate::ports::queue::{Delivery, Handle, Queue, QueueError, Received, Settled};
use crate::sim::scenario::Kind;
use crate::sim::store::SimFaces;
use crate::sim::world::{World, locator};

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Fate {
    Queued,
    Deleted,
    Dead(Rejection),
}

struct Sent {
    body: String,
    receives: u32,
    visible: Instant,
    /// The only handle that settles, and until when.
    lease: Option<(Handle, Instant)>,
    fate: Fate,
}

struct State {
    messages: Vec<Sent>,
    serial: u64,
}

/// The queue of the simulated world.
#[derive(Clone)]
pub struct SimQueue {
    world: World,
    store: SimFaces,
    visibility: Duration,
    state: Arc<Mutex<State>>,
}

/// How one entry of a batch call goes.
enum Entry {
    Fine,
    Failed,
    /// Done, but the answer says otherwise.
    Lost,
}

impl SimQueue {
    /// One message for each image.
    pub fn new(world: &World, store: &SimFaces) -> Self {
        let scenario = world.scenario();
        let message = |(number, kind): (usize, &Kind)| {
            let at = locator(number);
            let body = match kind {
                Kind::BadMessage => format!("{{\"unreadable\": {number}"),
                _ => serde_json::json!({"bucket": at.bucket, "key": at.key, "gallery_id": at.gallery}).to_string(),
            };
            Sent { body, receives: 0, visible: Instant::now(), lease: None, fate: Fate::Queued }
        };
        let messages = scenario.images.iter().enumerate().map(message).collect();
        let state = Arc::new(Mutex::new(State { messages, serial: 0 }));
        Self { world: world.clone(), store: store.clone(), visibility: scenario.visibility, state }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How message `number` ended.
    pub(super) fn fate(&self, number: usize) -> Fate {
        self.lock().messages.get(number).map_or(Fate::Queued, |m| m.fate.clone())
    }

    /// How often message `number` was received.
    pub(super) fn receives(&self, number: usize) -> u32 {
        self.lock().messages.get(number).map_or(0, |m| m.receives)
    }

    /// A call that may fail as a whole before anything is done.
    async fn call(&self, what: &str) -> Result<(), QueueError> {
        self.world.latency(Duration::from_millis(15)).await;
        if self.world.chance(|s| s.queue_errors) {
            self.world.note(|| format!("queue.{what} fails"));
            return Err(QueueError { class: Class::Transient, message: String::from("simulated") });
        }
        Ok(())
    }

    /// Settles entries one by one; `apply` changes the message behind a handle that is still good.
    async fn settle(
        &self,
        what: &str,
        handles: Vec<Handle>,
        mut apply: impl FnMut(usize, usize, &mut Sent),
    ) -> Result<Vec<Settled>, QueueError> {
        self.call(what).await?;
        let mut outcomes = Vec::new();
        for (position, handle) in handles.iter().enumerate() {
            let entry = if self.world.chance(|s| s.queue_partial) {
                Entry::Failed
            } else if self.world.chance(|s| s.lost_replies) {
                Entry::Lost
            } else {
                Entry::Fine
            };
            let now = Instant::now();
            let mut state = self.lock();
            let good = |m: &Sent| m.lease.as_ref().is_some_and(|(h, until)| h == handle && *until > now);
            let found = state.messages.iter().position(|m| m.fate == Fate::Queued && good(m));
            let outcome = match (found, entry) {
                (_, Entry::Failed) => Settled::Failed(Class::Transient),
                (None, _) => Settled::LeaseLost,
                (Some(number), entry) => {
                    apply(position, number, &mut state.messages[number]);
                    if matches!(entry, Entry::Lost) { Settled::Failed(Class::Transient) } else { Settled::Done }
                }
            };
            drop(state);
            self.world.note(|| format!("queue.{what} {} {outcome:?}", handle.0));
            outcomes.push(outcome);
        }
        Ok(outcomes)
    }
}

#[async_trait]
impl Queue for SimQueue {
    fn visibility(&self) -> Duration {
        self.visibility
    }

    async fn receive(&self, max: usize) -> Result<Received, QueueError> {
        self.call("receive").await.inspect_err(|_| self.world.allow(81, false))?;
        let until = Instant::now() + Duration::from_secs(20);
        loop {
            let now = Instant::now();
            let next = {
                let mut state = self.lock();
                if state.messages.iter().all(|m| m.fate != Fate::Queued) {
                    return Ok(Received { deliveries: Vec::new(), finished: true });
                }
                let mut ready: Vec<usize> = Vec::new();
                for (number, message) in state.messages.iter().enumerate() {
                    let leased = message.visible > now && message.lease.is_some();
                    let again = leased && self.world.chance(|s| s.duplicates / 10.0);
                    if message.fate == Fate::Queued && (message.visible <= now || again) {
                        ready.push(number);
                    }
                }
                let mut deliveries = Vec::new();
                while !ready.is_empty() && deliveries.len() < max {
                    let number = ready.swap_remove(self.world.below(ready.len()));
                    state.serial += 1;
                    let handle = Handle(format!("{number}#{}", state.serial));
                    let message = &mut state.messages[number];
                    message.receives += 1;
                    message.visible = now + self.visibility;
                    message.lease = Some((handle.clone(), now + self.visibility));
                    self.world.note(|| format!("queue.receive {}", handle.0));
                    deliveries.push(Delivery {
                        handle,
                        body: message.body.clone(),
                        receive_count: message.receives,
                        trace: None,
                        waited: None,
                    });
                }
                if !deliveries.is_empty() || now >= until {
                    return Ok(Received { deliveries, finished: false });
                }
                let queued = state.messages.iter().filter(|m| m.fate == Fate::Queued);
                queued.map(|m| m.visible).min().unwrap_or(until)
            };
            sleep_until(next.min(until).min(now + Duration::from_secs(1))).await;
        }
    }

    async fn extend(&self, handles: &[Handle]) -> Result<Vec<Settled>, QueueError> {
        let until = || Instant::now() + self.visibility;
        self.settle("extend", handles.to_vec(), |_, _, message| {
            message.visible = until();
            if let Some((_, expires)) = &mut message.lease {
                *expires = until();
            }
        })
        .await
    }

    async fn ack(&self, handles: &[Handle]) -> Result<Vec<Settled>, QueueError> {
        self.settle("ack", handles.to_vec(), |_, number, message| {
            match self.store.state_of(number) {
                Some(ImageState::Indexed | ImageState::NoFaces | ImageState::LowQuality) => {}
                other => self.world.violation(format!("image {number} was acked while stored as {other:?}")),
            }
            message.fate = Fate::Deleted;
        })
        .await
    }

    async fn release(&self, handles: &[Handle], delay: Duration) -> Result<Vec<Settled>, QueueError> {
        self.settle("release", handles.to_vec(), |_, _, message| {
            message.visible = Instant::now() + delay;
            message.lease = None;
        })
        .await
    }

    async fn reject(&self, entries: &[(Handle, Rejection)]) -> Result<Vec<Settled>, QueueError> {
        let handles = entries.iter().map(|(handle, _)| handle.clone()).collect();
        self.settle("reject", handles, |position, number, message| {
            let rejection = entries[position].1.clone();
            let stored = self.store.state_of(number);
            // Another receipt of the same message may have ended well meanwhile: too many attempts, then, but stored.
            let overtaken = rejection.reason == RejectReason::TooManyAttempts && stored.is_some();
            let unwritten = matches!(rejection.reason, RejectReason::BadMessage | RejectReason::Forgotten);
            if !unwritten && !overtaken && stored != Some(ImageState::Rejected) {
                self.world.violation(format!("image {number} was rejected while stored as {stored:?}"));
            }
            message.fate = Fate::Dead(rejection);
        })
        .await
    }
}
