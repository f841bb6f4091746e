//! Several writes as one, guarded by a gallery's version.

use std::time::{Duration, Instant, SystemTime};

use futures_util::TryStreamExt;
use mongodb::ClientSession;
use mongodb::bson::{Document, doc};
use mongodb::error::{TRANSIENT_TRANSACTION_ERROR, UNKNOWN_TRANSACTION_COMMIT_RESULT};
use mongodb::options::{ReadConcern, ReturnDocument};
use muster_actors::domain::gallery::{GalleryId, GalleryVersion};

use super::documents::signed;
use super::gallery::{GROUPED, GROUPED_BY, version_of};
use super::{MongoError, MongoFaces, documents, names};

/// How often a commit whose answer was lost is asked for.
const COMMITS: u32 = 3;
/// How long one is tried again that lost against others on the same gallery.
const PATIENCE: Duration = Duration::from_secs(20);
/// The first pause; each is twice as long as the one before, up to [`LONGEST`].
const PAUSE: Duration = Duration::from_millis(10);
const LONGEST: Duration = Duration::from_millis(500);
/// Documents that a cursor brings at once.
const BATCH: u32 = 5_000;

/// Begins one.
pub async fn begin(store: &MongoFaces) -> Result<ClientSession, MongoError> {
    let mut session = store.client.start_session().await?;
    session.start_transaction().read_concern(ReadConcern::snapshot()).await?;
    Ok(session)
}

/// Ends one: all of it, or nothing.
///
/// # Errors
/// Those of the writes; [`MongoError::Conflict`] when it lost against another on the same gallery.
pub async fn end<R>(mut session: ClientSession, written: Result<R, MongoError>) -> Result<R, MongoError> {
    match written {
        Ok(done) => {
            let mut attempts = 0;
            loop {
                attempts += 1;
                match session.commit_transaction().await {
                    Ok(()) => return Ok(done),
                    // It may be done: to ask again does no harm, and says so.
                    Err(error) if error.contains_label(UNKNOWN_TRANSACTION_COMMIT_RESULT) && attempts < COMMITS => {}
                    Err(error) => return Err(lost(error.into())),
                }
            }
        }
        Err(error) => {
            // The server gives up by itself what cannot be aborted.
            let _ = session.abort_transaction().await;
            Err(lost(error))
        }
    }
}

/// Nothing of it was done, and it may be tried again: who loses against another transaction reads the gallery again.
fn lost(error: MongoError) -> MongoError {
    match &error {
        MongoError::Driver(driver) if driver.contains_label(TRANSIENT_TRANSACTION_ERROR) => MongoError::Conflict,
        _ => error,
    }
}

/// How often and how long one is tried again that lost against others.
pub struct Patience {
    since: Instant,
    pause: Duration,
}

impl Patience {
    /// Begins now.
    pub fn new() -> Self {
        Self { since: Instant::now(), pause: PAUSE }
    }

    /// Whether what was done ends it. Where it lost against others it is tried again after a pause, for a while.
    pub async fn ends<R>(&mut self, done: &Result<R, MongoError>) -> bool {
        if !matches!(done, Err(MongoError::Conflict)) || self.since.elapsed() >= PATIENCE {
            return true;
        }
        tokio::time::sleep(self.pause).await;
        self.pause = LONGEST.min(2 * self.pause);
        false
    }
}

/// The time, in milliseconds since 1970 (UTC).
pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Where the gallery's revision is that of `read`: raises its generation and its revision by `by`, and notes which
/// generation is grouped. What its generation is then; `None` where the revision is another.
pub async fn advance(
    store: &MongoFaces,
    session: &mut ClientSession,
    gallery: &GalleryId,
    read: GalleryVersion,
    by: u64,
) -> Result<Option<u64>, MongoError> {
    let galleries = store.collection(names::GALLERIES);
    let of = doc! { "_id": &gallery.0 };
    let found = galleries.find_one(of.clone()).session(&mut *session).await?;
    let before = found.as_ref().map_or(Ok(GalleryVersion::default()), version_of)?;
    if before.revision != read.revision {
        return Ok(None);
    }
    let after = GalleryVersion { generation: before.generation + by, revision: before.revision + by };
    let grouped = signed(read.grouped(before, after));
    let update =
        doc! { "$inc": { "generation": signed(by) }, "$set": { GROUPED: grouped, GROUPED_BY: &store.grouping } };
    galleries.update_one(of, update).upsert(true).session(session).await?;
    Ok(Some(after.generation))
}

/// Raises the gallery's generation; what it is then. Where this comes first in a transaction, transactions on one gallery
/// come one after another, and each sees what those before it wrote.
pub async fn raise(store: &MongoFaces, session: &mut ClientSession, gallery: &GalleryId) -> Result<u64, MongoError> {
    let galleries = store.collection(names::GALLERIES);
    let raise = doc! { "$inc": { "generation": 1i64 } };
    let raised = galleries.find_one_and_update(doc! { "_id": &gallery.0 }, raise).upsert(true);
    let raised = raised.return_document(ReturnDocument::After).session(session).await?;
    raised.map_or(Ok(0), |gallery| documents::unsigned(&gallery, "generation"))
}

/// The documents that a filter finds.
pub async fn read(
    store: &MongoFaces,
    session: &mut ClientSession,
    collection: &str,
    filter: Document,
    projection: Document,
    sort: Document,
) -> Result<Vec<Document>, MongoError> {
    let collection = store.collection(collection);
    let found = collection.find(filter).projection(projection).sort(sort).batch_size(BATCH);
    let mut found = found.session(&mut *session).await?;
    Ok(found.stream(session).try_collect().await?)
}
