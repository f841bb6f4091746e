//! A queue whose calls fail, lose their answers, or are cut off when the machine is taken away.

use std::time::Duration;

use async_trait::async_trait;
use tokio::time::{Instant, sleep_until};

use super::{DeliveryState, POLL, SentMessage, SimQueue, number};
use crate::domain::image::{ImageState, RejectReason, Rejection};
use crate::errors::Class;
use crate::ports::outbox::{OutboundMessage, Outbox};
use crate::ports::queue::{Delivery, Handle, Queue, QueueError, Received, SettleOutcome};
use crate::sim::host::Host;
use crate::sim::notifications::Notification;
use crate::sim::refusal::RefusedCall;

/// A queue as a worker reaches it.
pub(crate) struct FaultyQueue {
    pub(super) queue: SimQueue,
    pub(super) host: Host,
}

/// How one entry of a batch call goes.
enum Entry {
    Fine,
    Failed,
    /// Done, but the answer says otherwise.
    CallLoss,
}

impl FaultyQueue {
    /// A call that may fail as a whole before anything is done.
    async fn call(&self, what: &str) -> Result<(), QueueError> {
        let world = &self.host.world;
        self.host.step().await;
        world.latency(Duration::from_millis(15)).await;
        self.host.step().await;
        if world.chance(|s| s.queue_errors) {
            world.note(|| format!("worker {}: queue.{what} fails", self.host.number));
            return Err(QueueError { class: Class::Transient, message: String::from("simulated") });
        }
        Ok(())
    }

    /// Settles entries one by one; `apply` changes the message behind a handle that is still good.
    async fn settle(
        &self,
        what: &str,
        handles: &[Handle],
        apply: impl Fn(usize, usize),
    ) -> Result<Vec<SettleOutcome>, QueueError> {
        self.call(what).await?;
        let world = &self.host.world;
        let mut outcomes = Vec::new();
        for (position, handle) in handles.iter().enumerate() {
            let entry = if world.chance(|s| s.queue_partial) {
                Entry::Failed
            } else if world.chance(|s| s.lost_replies) {
                Entry::CallLoss
            } else {
                Entry::Fine
            };
            let outcome = match (entry, self.queue.owned(handle)) {
                (Entry::Failed, _) => SettleOutcome::Failed(Class::Transient),
                (_, Err(settled)) => settled,
                (entry, Ok(number)) => {
                    apply(position, number);
                    if matches!(entry, Entry::CallLoss) {
                        SettleOutcome::Failed(Class::Transient)
                    } else {
                        SettleOutcome::Done
                    }
                }
            };
            world.note(|| format!("worker {}: queue.{what} {} {outcome:?}", self.host.number, handle.0));
            outcomes.push(outcome);
        }
        self.host.step().await;
        Ok(outcomes)
    }

    /// The next messages; none after a long poll.
    async fn poll(&self, max: usize) -> Vec<Delivery> {
        let until = Instant::now() + POLL;
        loop {
            match self.queue.take(max, self.host.number) {
                Ok(deliveries) => return deliveries,
                Err(_) if Instant::now() >= until || (self.queue.finishes && self.queue.open() == 0) => {
                    return Vec::new();
                }
                Err(next) => sleep_until(next.min(until).min(Instant::now() + Duration::from_secs(1))).await,
            }
            // What became visible while it was away is received by others.
            self.host.step().await;
        }
    }
}

#[async_trait]
impl Queue for FaultyQueue {
    fn visibility(&self) -> Duration {
        self.queue.visibility
    }

    async fn receive(&self, max: usize) -> Result<Received, QueueError> {
        self.host.asks(self.queue.name);
        self.call("receive").await.inspect_err(|_| self.host.allow(81, false))?;
        let deliveries = self.poll(max).await;
        self.host.step().await;
        let mut state = self.queue.lock();
        let finished = self.queue.finishes && state.open == 0;
        for handle in deliveries.iter().map(|delivery| &delivery.handle) {
            let lease = number(handle).and_then(|number| state.messages.get_mut(number)?.lease.as_mut());
            if let Some(lease) = lease.filter(|lease| lease.handle == *handle) {
                lease.told = true;
            }
        }
        drop(state);
        Ok(Received { finished: finished && deliveries.is_empty(), deliveries })
    }

    async fn extend(&self, handles: &[Handle]) -> Result<Vec<SettleOutcome>, QueueError> {
        self.settle("extend", handles, |_, number| {
            let until = Instant::now() + self.queue.visibility.mul_f64(1.0 - self.host.world.look(|s| s.drift));
            let mut state = self.queue.lock();
            let message = &mut state.messages[number];
            message.visible = until;
            let Some(lease) = &mut message.lease else { return };
            lease.until = until;
            if std::mem::take(&mut lease.released) {
                drop(state);
                self.host.world.violation(format!("message {number} was given back and then hidden for a whole lease"));
            }
        })
        .await
    }

    async fn ack(&self, handles: &[Handle]) -> Result<Vec<SettleOutcome>, QueueError> {
        self.settle("ack", handles, |_, number| {
            for (image, stored) in self.queue.stored(number) {
                if !self.queue.is_done(image, stored) {
                    self.host.world.violation(format!("image {image} was acked while stored as {stored:?}"));
                }
            }
            self.queue.end(number, DeliveryState::Deleted);
        })
        .await
    }

    async fn release(&self, handles: &[Handle], delay: Duration) -> Result<Vec<SettleOutcome>, QueueError> {
        self.settle("release", handles, |_, number| {
            let message = &mut self.queue.lock().messages[number];
            message.visible = Instant::now() + delay;
            if let Some(lease) = &mut message.lease {
                lease.until = message.visible;
                lease.released = true;
            }
        })
        .await
    }

    async fn reject(&self, entries: &[(Handle, Rejection)]) -> Result<Vec<SettleOutcome>, QueueError> {
        let handles: Vec<Handle> = entries.iter().map(|(handle, _)| handle.clone()).collect();
        self.settle("reject", &handles, |position, number| {
            let rejection = entries[position].1.clone();
            let images = self.queue.stored(number);
            // Another receipt of the same message may have ended well meanwhile: what it found stays.
            let overtaken = rejection.reason.says_nothing_of_the_picture();
            let rejected = images.iter().any(|(_, stored)| *stored == Some(ImageState::Rejected)) || overtaken;
            let all = rejected && images.iter().all(|(_, stored)| stored.is_some());
            let unwritten = matches!(rejection.reason, RejectReason::BadMessage | RejectReason::Forgotten);
            if !images.is_empty() && !unwritten && !all {
                self.host.world.violation(format!("message {number} was rejected while stored as {images:?}"));
            }
            self.queue.end(number, DeliveryState::Dead(rejection));
        })
        .await
    }
}

#[async_trait]
impl Outbox for FaultyQueue {
    async fn send(&self, letters: &[OutboundMessage]) -> Result<Vec<SettleOutcome>, QueueError> {
        self.call("send").await?;
        let world = &self.host.world;
        if let Some(answer) = self.host.refused(RefusedCall::Send) {
            return Err(QueueError { class: answer.class(), message: String::from("simulated") });
        }
        let mut outcomes = Vec::new();
        for letter in letters {
            if world.chance(|s| s.queue_partial) {
                outcomes.push(SettleOutcome::Failed(Class::Transient));
                continue;
            }
            let mut state = self.queue.lock();
            let message = Notification { body: letter.body.clone(), images: Vec::new(), delay: letter.delay };
            state.messages.push(SentMessage::new(message));
            state.open += 1;
            drop(state);
            world.note(|| format!("worker {}: queue.send {}", self.host.number, letter.body));
            let lost = world.chance(|s| s.lost_replies);
            outcomes.push(if lost { SettleOutcome::Failed(Class::Transient) } else { SettleOutcome::Done });
        }
        self.host.step().await;
        Ok(outcomes)
    }
}
