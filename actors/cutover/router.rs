//! Routes messages to their targets: receives, splits and sends them, and deletes them last. A message that is not known to be
//! sent stays and comes again, so it may arrive twice and is never lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::{join, join_all};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::errors::Class;
use crate::errors::backoff::{Backoff, Jitter, RetrySettings};
use crate::ports::outbox::{OutboundMessage, Outbox};
use crate::ports::queue::{Delivery, Handle, Queue, QueueError, SettleOutcome};

use super::split::{CutoverTarget, split};

/// Most messages of a receive.
const RECEIVE: usize = 10;
/// Most receives at the same time, while there are messages.
const LANES: usize = 8;
/// Most bytes of a message (SQS quota).
const LIMIT: usize = 1 << 20;
/// Time limit of a send or a delete; all calls for a message fit into its lease.
const CALL: Duration = Duration::from_secs(8);
/// Time that a receive may take beyond its long poll.
const POLL: Duration = Duration::from_secs(30);
/// Pause after a queue that answers at once that it is empty.
const PAUSE: Duration = Duration::from_millis(200);

/// Counts of routed messages.
#[derive(Debug, Default)]
pub struct RoutedCounts {
    ecs: AtomicU64,
    batch: AtomicU64,
}

impl RoutedCounts {
    /// Returns how many were sent to ECS and to Batch.
    pub fn counts(&self) -> (u64, u64) {
        (self.ecs.load(Ordering::Relaxed), self.batch.load(Ordering::Relaxed))
    }
}

/// Moves messages from one queue to the queues of their targets.
#[derive(Clone)]
pub struct Router {
    /// The queue that is routed.
    pub from: Arc<dyn Queue>,
    /// ECS's queue.
    pub ecs: Arc<dyn Outbox>,
    /// Batch's queue; `None` where messages are moved out of that one.
    pub batch: Option<Arc<dyn Outbox>>,
    /// The percentage in force; `None` while it is unknown, and then nothing is routed.
    pub percent: watch::Receiver<Option<u8>>,
    /// Counts of routed messages.
    pub routed: Arc<RoutedCounts>,
}

/// Waits until a value satisfies a condition; for ever where the sender is gone.
async fn until<T>(watched: &mut watch::Receiver<T>, condition: impl FnMut(&T) -> bool) {
    if watched.wait_for(condition).await.is_err() {
        std::future::pending::<()>().await;
    }
}

impl Router {
    /// Tells whether there is something to do at a percentage: Batch's queue is emptied only where nothing may stay there.
    fn works_at(&self, percent: Option<u8>) -> bool {
        percent.is_some_and(|percent| self.batch.is_some() || percent == 0)
    }

    /// Routes messages until `stop`, and then finishes those in hand.
    ///
    /// # Errors
    /// A queue does not exist, or may not be used, which a person must fix.
    pub async fn run(&self, stop: &watch::Receiver<bool>) -> Result<(), QueueError> {
        let busy = watch::Sender::new(false);
        let ends = join_all((0..LANES).map(|lane| self.lane(lane, &busy, stop.clone()))).await;
        ends.into_iter().collect()
    }

    /// Receives and routes in one of several lanes. The first always receives, the others only while the queue has messages, so
    /// that an idle queue costs one poll at a time.
    async fn lane(
        &self,
        lane: usize,
        busy: &watch::Sender<bool>,
        mut stop: watch::Receiver<bool>,
    ) -> Result<(), QueueError> {
        let settings = RetrySettings::default();
        let jitter = Jitter::new(lane as u64);
        let mut backoff = Backoff::new(&settings);
        let (mut percent, mut others) = (self.percent.clone(), busy.subscribe());
        loop {
            let ready = async {
                until(&mut percent, |percent| self.works_at(*percent)).await;
                if lane > 0 {
                    until(&mut others, |busy| *busy).await;
                }
            };
            tokio::select! {
                biased;
                () = until(&mut stop, |stop| *stop) => return Ok(()),
                () = ready => {}
            }
            // A receive is not cancelled: its messages would be invisible for a whole lease.
            let end = match timeout(POLL, self.from.receive(RECEIVE)).await {
                Ok(Ok(received)) => {
                    busy.send_if_modified(|busy| {
                        std::mem::replace(busy, !received.deliveries.is_empty()) == received.deliveries.is_empty()
                    });
                    match received.deliveries.is_empty() {
                        true => Ok(PAUSE),
                        false => self.route(&received.deliveries).await.map(|()| Duration::ZERO),
                    }
                }
                Ok(Err(error)) => Err(error),
                Err(_) => Err(late("receive")),
            };
            let wait = match end {
                Ok(wait) => {
                    backoff = Backoff::new(&settings);
                    wait
                }
                Err(error) => {
                    if matches!(error.class, Class::Misconfigured(_)) {
                        return Err(error);
                    }
                    tracing::warn!(%error, "cutover.route");
                    backoff.next(&jitter)
                }
            };
            tokio::select! {
                () = until(&mut stop, |stop| *stop) => {}
                () = sleep(wait) => {}
            }
        }
    }

    /// Sends messages to their targets, and deletes those that were sent completely.
    ///
    /// # Errors
    /// A part is not known to be sent; its message stays and comes again.
    pub async fn route(&self, deliveries: &[Delivery]) -> Result<(), QueueError> {
        let percent = self.percent.borrow().filter(|_| self.batch.is_some()).unwrap_or(0);
        let (mut ecs, mut batch) = (Vec::new(), Vec::new());
        for (place, delivery) in deliveries.iter().enumerate() {
            for part in split(&delivery.body, percent, LIMIT) {
                let letter = OutboundMessage {
                    body: part.body.into_owned(),
                    trace: delivery.trace.clone(),
                    delay: Duration::ZERO,
                };
                match part.side {
                    CutoverTarget::Ecs => ecs.push((place, letter)),
                    CutoverTarget::Batch => batch.push((place, letter)),
                }
            }
        }
        let mut failures = vec![None; deliveries.len()];
        let to_batch = self.batch.as_ref().unwrap_or(&self.ecs);
        let (to_ecs, to_batch) = join(send(&self.ecs, &ecs), send(to_batch, &batch)).await;
        for ((place, _), failure) in ecs.iter().chain(&batch).zip(to_ecs.iter().chain(&to_batch)) {
            if let Some(failure) = failure {
                failures[*place] = Some(failure.clone());
            }
        }
        let sent = |outcomes: &[Option<QueueError>]| outcomes.iter().filter(|failure| failure.is_none()).count() as u64;
        self.routed.ecs.fetch_add(sent(&to_ecs), Ordering::Relaxed);
        self.routed.batch.fetch_add(sent(&to_batch), Ordering::Relaxed);
        let all = deliveries.iter().zip(&failures);
        let done: Vec<Handle> =
            all.filter(|(_, failure)| failure.is_none()).map(|(delivery, _)| delivery.handle.clone()).collect();
        if !done.is_empty() {
            // A message that is not deleted comes again and is sent again.
            timeout(CALL, self.from.ack(&done)).await.unwrap_or_else(|_| Err(late("delete")))?;
        }
        failures.into_iter().flatten().next().map_or(Ok(()), Err)
    }
}

fn late(what: &str) -> QueueError {
    QueueError { class: Class::Transient, message: format!("{what}: no answer in time") }
}

/// Returns for each message why it is not known to be sent; `None` where it is.
async fn send(to: &Arc<dyn Outbox>, letters: &[(usize, OutboundMessage)]) -> Vec<Option<QueueError>> {
    if letters.is_empty() {
        return Vec::new();
    }
    let all: Vec<OutboundMessage> = letters.iter().map(|(_, letter)| letter.clone()).collect();
    match timeout(CALL, to.send(&all)).await.unwrap_or_else(|_| Err(late("send"))) {
        Ok(settled) => {
            let failure = |settled| match settled {
                SettleOutcome::Done => None,
                SettleOutcome::LeaseLost => Some(Class::Bug),
                SettleOutcome::Failed(class) => Some(class),
            };
            let told = |class| QueueError { class, message: "a message was not accepted".to_owned() };
            settled.into_iter().map(|settled| failure(settled).map(told)).collect()
        }
        Err(error) => vec![Some(error); letters.len()],
    }
}
