//! Empties what lies between a web tier and its workers: whoever waits gets no answer.

use serde::{Deserialize, Serialize};

use muster_aws::classify::{Fault, fault};
use muster_aws::depth::{depth, name};
use muster_aws::s3::S3Bucket;
use muster_worker::recognition::letter::{ANSWERS, PHOTOS};
use muster_worker::recognition::{Remote, RemoteStores};

/// Objects are counted so far.
const COUNTED: u64 = 10_000;

/// One of the four.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Store {
    /// The queue of requests.
    Requests,
    /// The queue of replies.
    Responses,
    /// Photos of callers.
    Photos,
    /// Answers.
    Answers,
}

/// What lies in one of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Content {
    /// Which.
    store: Store,
    /// The queue's name, or the bucket's with its prefix.
    name: String,
    /// Messages (as near as SQS says) or objects; ten thousand objects may be more.
    count: u64,
}

/// Can empty them.
pub struct Purger(RemoteStores);

impl Purger {
    /// Over what lies between a web front and its workers.
    pub fn new(remote: &Remote) -> Self {
        Self(remote.stores())
    }

    /// What lies there.
    pub async fn content(&self, store: Store) -> Result<Content, Fault> {
        let (name, count) = match store {
            Store::Requests => self.messages(&self.0.requests).await?,
            Store::Responses => self.messages(&self.0.responses).await?,
            Store::Photos => objects(&self.0.photos, PHOTOS).await?,
            Store::Answers => objects(&self.0.answers, ANSWERS).await?,
        };
        Ok(Content { store, name, count })
    }

    /// Empties it. SQS takes up to a minute, and does not begin again before.
    pub async fn purge(&self, store: Store) -> Result<(), Fault> {
        match store {
            Store::Requests => self.drain(&self.0.requests).await,
            Store::Responses => self.drain(&self.0.responses).await,
            Store::Photos => self.0.photos.clear(PHOTOS).await.map(drop),
            Store::Answers => self.0.answers.clear(ANSWERS).await.map(drop),
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
