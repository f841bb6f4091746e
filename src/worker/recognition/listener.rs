//! Replies of the workers, as a web server hears them, in a queue of its own or in one that several share: what is for another goes
//! back at once.

use std::sync::Arc;
use std::time::Duration;

use muster_actors::errors::Class;
use muster_actors::errors::backoff::{Backoff, Jitter, RetrySettings};
use muster_actors::ports::queue::{Handle, Queue, QueueError, Received};
use parking_lot::Mutex;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::letter::{Fate, Id, sort};
use super::waiting::Waiting;
use muster_aws::s3::S3Bucket;

/// Longer than a long poll of SQS.
const POLL: Duration = Duration::from_secs(30);

/// Hears the replies for one web server as long as it is held.
pub(crate) struct Listener {
    /// Why nothing was heard the last time.
    deaf: Arc<Mutex<Option<String>>>,
    task: JoinHandle<()>,
}

struct Ear {
    server: Id,
    replies: Arc<dyn Queue>,
    waiting: Arc<Waiting>,
    answers: S3Bucket,
}

impl Listener {
    /// Listens as `server`; answers that nobody waits for are deleted.
    pub fn start(server: Id, replies: Arc<dyn Queue>, waiting: Arc<Waiting>, answers: S3Bucket) -> Self {
        let deaf = Arc::<Mutex<Option<String>>>::default();
        let ear = Ear { server, replies, waiting, answers };
        let task = tokio::spawn(listen(ear, Arc::clone(&deaf)));
        Self { deaf, task }
    }

    /// Whether replies are heard; else why not.
    pub fn hears(&self) -> Result<(), String> {
        let deaf = self.deaf.lock();
        deaf.clone().map_or(Ok(()), |why| Err(format!("replies cannot be received: {why}")))
    }
}

impl Listener {
    /// Listens no more.
    pub fn stop(&self) {
        self.task.abort();
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn silent() -> QueueError {
    let message = format!("no answer within {} s", POLL.as_secs());
    QueueError { class: Class::Transient, message }
}

async fn listen(ear: Ear, deaf: Arc<Mutex<Option<String>>>) {
    let settings = RetrySettings::default();
    let jitter = Jitter::new(u64::from_be_bytes(ear.server.0[..8].try_into().unwrap_or_default()));
    let mut backoff = Backoff::new(&settings);
    loop {
        let heard = timeout(POLL, ear.hear()).await.unwrap_or_else(|_| Err(silent()));
        if let Err(error) = &heard {
            tracing::warn!(%error, "recognition.listen");
        }
        let failed = heard.as_ref().err().map(ToString::to_string);
        *deaf.lock() = failed;
        match heard {
            Ok(()) => backoff = Backoff::new(&settings),
            Err(_) => tokio::time::sleep(backoff.next(&jitter)).await,
        }
    }
}

impl Ear {
    async fn hear(&self) -> Result<(), QueueError> {
        let Received { deliveries, .. } = self.replies.receive(10).await?;
        let (mut done, mut theirs) = (Vec::<Handle>::new(), Vec::new());
        for delivery in deliveries {
            match sort(&delivery.body, delivery.waited, self.server) {
                Fate::Ours(id) => {
                    if !self.waiting.call(id) {
                        self.discard(id);
                    }
                    done.push(delivery.handle);
                }
                Fate::Theirs => theirs.push(delivery.handle),
                Fate::Nobodys => done.push(delivery.handle),
            }
        }
        if !theirs.is_empty() {
            self.replies.release(&theirs, Duration::ZERO).await?;
        }
        if !done.is_empty() {
            self.replies.ack(&done).await?;
        }
        Ok(())
    }

    /// Whoever asked left before the answer was there.
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
