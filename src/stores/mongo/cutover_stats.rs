//! Reads the results of the last hours by the queue that the work came from. A cutover is judged by them.

use std::time::Duration;

use futures_util::TryStreamExt;
use mongodb::bson::{Binary, DateTime, Document, Uuid, doc};
use mongodb::{Collection, Database};
use muster_actors::ports::observer::FinishedImage;

use super::{Connection, MongoError, MongoFaces, names};

/// Greatest number of images that are read, the newest first.
const IMAGES: i64 = 5_000;
/// Time after which the server gives a query up.
const TIME_LIMIT: Duration = Duration::from_secs(8);

/// Origin of results: a queue and a worker.
#[derive(Clone, Debug)]
pub struct Origin {
    /// Name of the queue.
    pub queue: String,
    /// Id of the worker's process.
    worker: Uuid,
}

impl Origin {
    /// Creates the origin of a worker of this queue; each call names another worker.
    pub fn new(queue: &str) -> Self {
        Self { queue: queue.to_owned(), worker: Uuid::new() }
    }

    /// Returns the fields of an image's record.
    pub(super) fn fields(&self) -> Document {
        doc! { "queue": &self.queue, "worker": self.worker }
    }
}

impl MongoFaces {
    /// Records that this worker's machine is being taken away.
    ///
    /// # Errors
    /// [`MongoError::Driver`] when the server fails.
    pub async fn interrupted(&self) -> Result<(), MongoError> {
        let Some(origin) = &self.origin else { return Ok(()) };
        // A worker is counted once, however often it is notified.
        let (which, what) = (
            doc! { "_id": origin.worker },
            doc! { "$set": { "queue": &origin.queue }, "$currentDate": { "at": true } },
        );
        self.collection(names::INTERRUPTIONS).update_one(which, what).upsert(true).await?;
        Ok(())
    }
}

/// Reads the statistics by which a cutover is judged.
#[derive(Clone, Debug)]
pub struct CutoverStats {
    database: Database,
}

impl CutoverStats {
    /// Creates a reader over a connection; it writes nothing.
    pub fn new(connection: &Connection) -> Self {
        Self { database: connection.faces.clone() }
    }

    fn collection(&self, name: &str) -> Collection<Document> {
        self.database.collection(name)
    }

    /// Returns the server's time, in milliseconds since 1970. Records carry this time.
    ///
    /// # Errors
    /// [`MongoError::Driver`] when the server fails, [`MongoError::Document`] when it does not report its time.
    pub async fn now(&self) -> Result<u64, MongoError> {
        let hello = self.database.run_command(doc! { "hello": 1 }).await?;
        let now = hello.get_datetime("localTime").map_err(|error| MongoError::Document(error.to_string()))?;
        Ok(milliseconds(*now))
    }

    /// Returns the images from a queue that were finished after a time (in milliseconds since 1970), the newest first.
    ///
    /// # Errors
    /// [`MongoError::Driver`] when the server fails.
    pub async fn ended(&self, queue: &str, since: u64) -> Result<Vec<FinishedImage>, MongoError> {
        let which = doc! { "queue": queue, "indexed_at": { "$gt": date(since) } };
        let fields =
            doc! { "_id": 0, "state": 1, "worker": 1, "indexed_at": 1, "timings.total": 1, "timings.waited": 1 };
        let images = self.collection(names::IMAGES);
        let asked = images.find(which).projection(fields).sort(doc! { "indexed_at": -1 });
        let found = asked.limit(IMAGES).max_time(TIME_LIMIT).await?;
        found.map_ok(|image| ended(&image)).try_collect().await.map_err(MongoError::from)
    }

    /// Returns when the last image from a queue was finished, in milliseconds since 1970; `None` without any.
    ///
    /// # Errors
    /// [`MongoError::Driver`] when the server fails.
    pub async fn last(&self, queue: &str) -> Result<Option<u64>, MongoError> {
        let images = self.collection(names::IMAGES);
        let asked = images.find_one(doc! { "queue": queue }).sort(doc! { "indexed_at": -1 });
        let image = asked.projection(doc! { "indexed_at": 1 }).max_time(TIME_LIMIT).await?;
        Ok(image.and_then(|image| image.get_datetime("indexed_at").ok().copied()).map(milliseconds))
    }

    /// Counts the workers of a queue whose machine was taken away after a time.
    ///
    /// # Errors
    /// [`MongoError::Driver`] when the server fails.
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

/// Reads an image's record. Fields are missing in records of an older release, and are then unknown.
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
