//! Empties the queues and buckets between a web tier and its workers. Callers who wait get no answer.

use serde::{Deserialize, Serialize};

use muster_aws::classify::{Fault, fault};
use muster_aws::depth::{depth, name};
use muster_aws::s3::S3Bucket;
use muster_worker::recognition::wire_protocol::{ANSWERS, PHOTOS};
use muster_worker::recognition::{RemoteRecognizer, RemoteStores};

/// Most objects that are counted in a bucket.
const COUNTED: u64 = 10_000;

/// A queue or bucket between the web tier and its workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = Store)]
#[serde(rename_all = "lowercase")]
pub enum PurgeTarget {
    /// The queue of requests.
    Requests,
    /// The queue of replies.
    Responses,
    /// Photos of callers.
    Photos,
    /// Answers.
    Answers,
}

/// How much lies in a queue or bucket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[schema(as = Content)]
pub struct TargetContent {
    /// Which.
    store: PurgeTarget,
    /// The queue's name, or the bucket's with its prefix.
    name: String,
    /// Messages (as near as SQS says) or objects; ten thousand objects may be more.
    count: u64,
}

/// Counts and empties the queues and buckets between a web tier and its workers.
pub struct Purger(RemoteStores);

impl Purger {
    /// Creates a purger of the stores that a web front shares with its workers.
    pub fn new(remote: &RemoteRecognizer) -> Self {
        Self(remote.stores())
    }

    /// Counts the messages or objects of a store.
    ///
    /// # Errors
    /// SQS or S3 fails.
    pub async fn content(&self, store: PurgeTarget) -> Result<TargetContent, Fault> {
        let (name, count) = match store {
            PurgeTarget::Requests => self.messages(&self.0.requests).await?,
            PurgeTarget::Responses => self.messages(&self.0.responses).await?,
            PurgeTarget::Photos => objects(&self.0.photos, PHOTOS).await?,
            PurgeTarget::Answers => objects(&self.0.answers, ANSWERS).await?,
        };
        Ok(TargetContent { store, name, count })
    }

    /// Empties a store. SQS takes up to a minute for a queue, and accepts no other purge before.
    ///
    /// # Errors
    /// SQS or S3 fails, or a purge of the queue is running.
    pub async fn purge(&self, store: PurgeTarget) -> Result<(), Fault> {
        match store {
            PurgeTarget::Requests => self.drain(&self.0.requests).await,
            PurgeTarget::Responses => self.drain(&self.0.responses).await,
            PurgeTarget::Photos => self.0.photos.clear(PHOTOS).await.map(drop),
            PurgeTarget::Answers => self.0.answers.clear(ANSWERS).await.map(drop),
        }
    }

    async fn messages(&self, queue: &str) -> Result<(String, u64), Fault> {
        let depth = depth(&self.0.sqs, queue).await?;
        Ok((name(queue).to_owned(), depth.visible + depth.delayed + depth.in_flight))
    }

    async fn drain(&self, queue: &str) -> Result<(), Fault> {
        let purged = self.0.sqs.purge_queue().queue_url(queue).send().await;
        purged.map(drop).map_err(|error| fault(&format!("PurgeQueue of {}", name(queue)), &error))
    }
}

async fn objects(bucket: &S3Bucket, prefix: &str) -> Result<(String, u64), Fault> {
    Ok((format!("{}/{prefix}", bucket.name()), bucket.count(prefix, COUNTED).await?))
}
