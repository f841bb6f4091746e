//! Receives the workers' replies for a web server, from its own queue or from one that several servers share. Replies for
//! another server are released at once.

use std::sync::Arc;
use std::time::Duration;

use muster_actors::errors::Class;
use muster_actors::errors::backoff::{Backoff, Jitter, RetrySettings};
use muster_actors::ports::queue::{Handle, Queue, QueueError, Received};
use parking_lot::Mutex;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::reply_waiters::ReplyWaiters;
use super::wire_protocol::{Id, ReplyRoute, route};
use muster_aws::s3::S3Bucket;

/// Timeout of a receive, which is longer than a long poll of SQS.
const POLL: Duration = Duration::from_secs(30);

/// Consumes the replies for one web server until it is dropped.
pub(crate) struct ReplyConsumer {
    /// Error of the last receive.
    failure: Arc<Mutex<Option<String>>>,
    task: JoinHandle<()>,
}

struct ReplyHandler {
    server: Id,
    replies: Arc<dyn Queue>,
    waiters: Arc<ReplyWaiters>,
    answers: S3Bucket,
}

impl ReplyConsumer {
    /// Starts consuming as `server`. Answers that nobody waits for are deleted.
    pub fn start(server: Id, replies: Arc<dyn Queue>, waiters: Arc<ReplyWaiters>, answers: S3Bucket) -> Self {
        let failure = Arc::<Mutex<Option<String>>>::default();
        let handler = ReplyHandler { server, replies, waiters, answers };
        let task = tokio::spawn(consume(handler, Arc::clone(&failure)));
        Self { failure, task }
    }

    /// Checks that replies can be received; the error says why not.
    pub fn ready(&self) -> Result<(), String> {
        let failure = self.failure.lock();
        failure.clone().map_or(Ok(()), |why| Err(format!("replies cannot be received: {why}")))
    }
}

impl ReplyConsumer {
    /// Stops consuming.
    pub fn stop(&self) {
        self.task.abort();
    }
}

impl Drop for ReplyConsumer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn silent() -> QueueError {
    let message = format!("no answer within {} s", POLL.as_secs());
    QueueError { class: Class::Transient, message }
}

async fn consume(handler: ReplyHandler, failure: Arc<Mutex<Option<String>>>) {
    let settings = RetrySettings::default();
    let jitter = Jitter::new(u64::from_be_bytes(handler.server.0[..8].try_into().unwrap_or_default()));
    let mut backoff = Backoff::new(&settings);
    loop {
        let received = timeout(POLL, handler.receive()).await.unwrap_or_else(|_| Err(silent()));
        if let Err(error) = &received {
            tracing::warn!(%error, "recognition.listen");
        }
        let failed = received.as_ref().err().map(ToString::to_string);
        *failure.lock() = failed;
        match received {
            Ok(()) => backoff = Backoff::new(&settings),
            Err(_) => tokio::time::sleep(backoff.next(&jitter)).await,
        }
    }
}

impl ReplyHandler {
    async fn receive(&self) -> Result<(), QueueError> {
        let Received { deliveries, .. } = self.replies.receive(10).await?;
        let (mut done, mut others) = (Vec::<Handle>::new(), Vec::new());
        for delivery in deliveries {
            match route(&delivery.body, delivery.waited, self.server) {
                ReplyRoute::Ours(id) => {
                    if !self.waiters.call(id) {
                        self.discard(id);
                    }
                    done.push(delivery.handle);
                }
                ReplyRoute::OtherServer => others.push(delivery.handle),
                ReplyRoute::Discard => done.push(delivery.handle),
            }
        }
        if !others.is_empty() {
            self.replies.release(&others, Duration::ZERO).await?;
        }
        if !done.is_empty() {
            self.replies.ack(&done).await?;
        }
        Ok(())
    }

    /// Deletes an answer whose caller left before it was there.
    fn discard(&self, id: Id) {
        let answers = self.answers.clone();
        tokio::spawn(async move {
            if let Err(fault) = answers.discard(&id.answer()).await {
                // The bucket's lifecycle deletes it.
                tracing::warn!(error = fault.message, "recognition.discard");
            }
        });
    }
}
