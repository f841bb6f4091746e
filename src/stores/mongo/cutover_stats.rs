//! What was done lately, by the queue that the work came from: what a cutover is judged by.

use std::time::Duration;

use futures_util::TryStreamExt;
use mongodb::bson::{Binary, DateTime, Document, Uuid, doc};
use mongodb::{Collection, Database};
use muster_actors::ports::observer::FinishedImage;

use super::{Connection, MongoError, MongoFaces, names};

/// Images that are looked at, at most: the newest.
const IMAGES: i64 = 5_000;
/// Milliseconds after which the server gives a look up.
const TIME_LIMIT: Duration = Duration::from_secs(8);

/// Where results come from.
#[derive(Clone, Debug)]
pub struct Origin {
    /// Name of the queue.
    pub queue: String,
    /// This process.
    worker: Uuid,
}

impl Origin {
    /// Of a worker of this queue; each call names another worker.
    pub fn new(queue: &str) -> Self {
        Self { queue: queue.to_owned(), worker: Uuid::new() }
    }

    /// As an image's record has it.
    pub(super) fn fields(&self) -> Document {
        doc! { "queue": &self.queue, "worker": self.worker }
    }
}

impl MongoFaces {
    /// Notes that this worker's machine is being taken away.
    ///
    /// # Errors
    /// As every write.
    pub async fn interrupted(&self) -> Result<(), MongoError> {
        let Some(origin) = &self.origin else { return Ok(()) };
        // Once a worker, however often it is told.
        let (which, what) = (
            doc! { "_id": origin.worker },
            doc! { "$set": { "queue": &origin.queue }, "$currentDate": { "at": true } },
        );
        self.collection(names::INTERRUPTIONS).update_one(which, what).upsert(true).await?;
        Ok(())
    }
}

/// Reads what was done lately.
#[derive(Clone, Debug)]
pub struct CutoverStats {
    database: Database,
}

impl CutoverStats {
    /// Over a connection; nothing is written.
    pub fn new(connection: &Connection) -> Self {
        Self { database: connection.faces.clone() }
    }

    fn collection(&self, name: &str) -> Collection<Document> {
        self.database.collection(name)
    }

    /// The server's time, in milliseconds since 1970: the one that records carry.
    ///
    /// # Errors
    /// As every read.
    pub async fn now(&self) -> Result<u64, MongoError> {
        let hello = self.database.run_command(doc! { "hello": 1 }).await?;
        let now = hello.get_datetime("localTime").map_err(|error| MongoError::Document(error.to_string()))?;
        Ok(milliseconds(*now))
    }

    /// Images from a queue that were ended since a time, in milliseconds since 1970: the newest, oldest last.
    ///
    /// # Errors
    /// As every read.
    pub async fn ended(&self, queue: &str, since: u64) -> Result<Vec<FinishedImage>, MongoError> {
        let which = doc! { "queue": queue, "indexed_at": { "$gt": date(since) } };
        let fields =
            doc! { "_id": 0, "state": 1, "worker": 1, "indexed_at": 1, "timings.total": 1, "timings.waited": 1 };
        let images = self.collection(names::IMAGES);
        let asked = images.find(which).projection(fields).sort(doc! { "indexed_at": -1 });
        let found = asked.limit(IMAGES).max_time(TIME_LIMIT).await?;
        found.map_ok(|image| ended(&image)).try_collect().await.map_err(MongoError::from)
    }

    /// When the last image from a queue was ended, in milliseconds since 1970.
    ///
    /// # Errors
    /// As every read.
    pub async fn last(&self, queue: &str) -> Result<Option<u64>, MongoError> {
        let images = self.collection(names::IMAGES);
        let asked = images.find_one(doc! { "queue": queue }).sort(doc! { "indexed_at": -1 });
        let image = asked.projection(doc! { "indexed_at": 1 }).max_time(TIME_LIMIT).await?;
        Ok(image.and_then(|image| image.get_datetime("indexed_at").ok().copied()).map(milliseconds))
    }

    /// Workers of a queue whose machine was taken away since a time.
    ///
    /// # Errors
    /// As every read.
    pub async fn interruptions(&self, queue: &str, since: u64) -> Result<u64, MongoError> {
        let which = doc! { "at": { "$gt": date(since) }, "queue": queue };
        Ok(self.collection(names::INTERRUPTIONS).count_documents(which).max_time(TIME_LIMIT).await?)
    }
}

fn date(milliseconds: u64) -> DateTime {
    DateTime::from_millis(i64::try_from(milliseconds).unwrap_or(i64::MAX))
}

fn milliseconds(date: DateTime) -> u64 {
    u64::try_from(date.timestamp_millis()).unwrap_or(0)
}

/// What a record lacks says nothing: an older muster has written it.
fn ended(image: &Document) -> FinishedImage {
    let timings = image.get_document("timings").ok();
    let time = |stage| timings?.get_f64(stage).ok().map(|time| time as u64);
    let worker = match image.get("worker") {
        Some(mongodb::bson::Bson::Binary(Binary { bytes, .. })) => bytes.as_slice().try_into().ok(),
        _ => None,
    };
    FinishedImage {
        failed: image.get_str("state").is_ok_and(|state| state == "rejected"),
        took: time("total").unwrap_or(0),
        waited: time("waited"),
        worker: worker.map_or(0, u128::from_be_bytes),
        at: image.get_datetime("indexed_at").copied().map_or(0, milliseconds),
    }
}
