//! Runs several writes as one transaction, guarded by a gallery's version.

use std::time::{Duration, Instant, SystemTime};

use futures_util::TryStreamExt;
use mongodb::ClientSession;
use mongodb::bson::{Document, doc};
use mongodb::error::{Error, ErrorKind, TRANSIENT_TRANSACTION_ERROR, UNKNOWN_TRANSACTION_COMMIT_RESULT, WriteFailure};
use mongodb::options::{ReadConcern, ReturnDocument};
use muster_actors::domain::gallery::{GalleryId, GalleryVersion};

use super::change_marks::MARKED;
use super::documents::signed;
use super::gallery::{GROUPED, GROUPED_BY, GalleryHead};
use super::pointer::{PARTITION, PartitionPointer};
use super::{MongoError, MongoFaces, names};

/// Error code of a document whose id exists already.
const DUPLICATE: i32 = 11000;

/// Greatest number of attempts at a commit whose answer was lost.
const COMMITS: u32 = 3;
/// Time for which a transaction is repeated that loses against others on the same gallery.
const PATIENCE: Duration = Duration::from_secs(20);
/// First pause between repetitions; each is twice as long as the one before, up to [`LONGEST`].
const PAUSE: Duration = Duration::from_millis(10);
const LONGEST: Duration = Duration::from_millis(500);
/// Number of documents in one batch of a cursor.
const BATCH: u32 = 5_000;

/// Begins a transaction with read concern "snapshot".
///
/// # Errors
/// [`MongoError::Driver`] when the server fails.
pub async fn begin(store: &MongoFaces) -> Result<ClientSession, MongoError> {
    let mut session = store.client.start_session().await?;
    session.start_transaction().read_concern(ReadConcern::snapshot()).await?;
    Ok(session)
}

/// Commits a transaction if all writes succeeded, and aborts it otherwise.
///
/// # Errors
/// The error of the writes; [`MongoError::Conflict`] when the transaction lost against another on the same gallery,
/// [`MongoError::Aborted`] when it was too long or too large, [`MongoError::Driver`] when the server fails.
pub async fn end<R>(mut session: ClientSession, written: Result<R, MongoError>) -> Result<R, MongoError> {
    match written {
        Ok(done) => {
            let mut attempts = 0;
            loop {
                attempts += 1;
                match session.commit_transaction().await {
                    Ok(()) => return Ok(done),
                    // The transaction may be committed. Repeating the commit does no harm and gives the answer.
                    Err(error) if error.contains_label(UNKNOWN_TRANSACTION_COMMIT_RESULT) && attempts < COMMITS => {}
                    Err(error) => return Err(lost(error.into())),
                }
            }
        }
        Err(error) => {
            // If the abort fails, the server aborts the transaction by itself.
            let _ = session.abort_transaction().await;
            Err(lost(error))
        }
    }
}

/// Returns the error of a transaction that failed and changed nothing.
fn lost(error: MongoError) -> MongoError {
    let MongoError::Driver(driver) = &error else { return error };
    let ErrorKind::Command(command) = driver.kind.as_ref() else { return error };
    match command.code_name.as_str() {
        // The transaction lost against another; the gallery must be read again.
        "WriteConflict" => MongoError::Conflict,
        // A repetition would end in the same way.
        "TransactionTooLarge" | "TransactionTooLargeForCache" | "TransactionExceededLifetimeLimitSeconds" => {
            MongoError::Aborted(command.message.clone())
        }
        _ => error,
    }
}

/// Tells whether a repetition may succeed in a moment.
fn is_transient(error: &MongoError) -> bool {
    match error {
        MongoError::Conflict => true,
        MongoError::Driver(driver) => driver.contains_label(TRANSIENT_TRANSACTION_ERROR),
        _ => false,
    }
}

/// Tells whether the error is that a document with the same id exists.
pub fn is_duplicate(error: &Error) -> bool {
    match error.kind.as_ref() {
        ErrorKind::Write(WriteFailure::WriteError(error)) => error.code == DUPLICATE,
        ErrorKind::Command(error) => error.code == DUPLICATE,
        _ => false,
    }
}

/// Limits the repetitions of a transaction that loses against others.
pub struct ConflictRetry {
    since: Instant,
    pause: Duration,
}

impl ConflictRetry {
    /// Starts the time limit of 20 s.
    pub fn new() -> Self {
        Self { since: Instant::now(), pause: PAUSE }
    }

    /// Tells whether no repetition follows. If the transaction lost against others and time is left, this waits before
    /// the repetition.
    pub async fn ends<R>(&mut self, done: &Result<R, MongoError>) -> bool {
        if !done.as_ref().is_err_and(is_transient) || self.since.elapsed() >= PATIENCE {
            return true;
        }
        tokio::time::sleep(self.pause).await;
        self.pause = LONGEST.min(2 * self.pause);
        false
    }
}

/// Returns the time in milliseconds since 1970 (UTC).
pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Effect of a grouping on a gallery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Saved {
    /// No change: the groups were right.
    Unchanged,
    /// Changes to the partition in force.
    InPlace,
    /// Another partition replaces the one in force.
    Staged,
    /// The same partition is put in force at another location.
    Copied,
}

/// The parameters of saving a grouping.
#[derive(Clone, Copy, Debug)]
pub struct Advance {
    /// Version of the gallery when it was read. Its revision must be unchanged.
    pub read: GalleryVersion,
    /// Location of the partition that must still be in force.
    pub at: PartitionPointer,
    /// Effect of the grouping.
    pub saved: Saved,
}

impl Advance {
    /// Returns the gallery's state after saving, and the generation whose faces are all in its groups then, where that
    /// changes. `None` if the grouping must not be saved.
    fn after(&self, before: GalleryHead) -> Option<(GalleryHead, Option<u64>)> {
        let Self { read, at, saved } = *self;
        if before.version.revision != read.revision || before.pointer != at {
            return None;
        }
        let by = u64::from(matches!(saved, Saved::InPlace | Saved::Staged));
        let (generation, revision) = (before.version.generation + by, before.version.revision + by);
        let version = GalleryVersion { generation, revision };
        let pointer = if matches!(saved, Saved::Staged | Saved::Copied) { at.next() } else { at };
        let grouped = (saved != Saved::Copied).then(|| read.grouped(before.version, version));
        // A grouping marks all of its changes.
        Some((GalleryHead { version, pointer, unmarked: before.unmarked }, grouped))
    }
}

/// Updates a gallery's document for a saved grouping, and returns the gallery's state after that. `None` if the
/// grouping must not be saved.
///
/// # Errors
/// [`MongoError::Driver`] when the server fails, [`MongoError::Document`] when a stored document is not what muster
/// wrote.
pub async fn advance(
    store: &MongoFaces,
    session: &mut ClientSession,
    gallery: &GalleryId,
    advance: &Advance,
) -> Result<Option<GalleryHead>, MongoError> {
    let galleries = store.collection(names::GALLERIES);
    let of = doc! { "_id": &gallery.0 };
    let found = galleries.find_one(of.clone()).session(&mut *session).await?;
    let before = found.as_ref().map_or(Ok(GalleryHead::default()), GalleryHead::of)?;
    let Some((after, grouped)) = advance.after(before) else { return Ok(None) };
    let mut set = Document::new();
    if let Some(grouped) = grouped {
        set.extend(doc! { GROUPED: signed(grouped), GROUPED_BY: &store.grouping });
    }
    if after.pointer != before.pointer {
        set.insert(PARTITION, signed(after.pointer.number()));
    }
    let by = signed(after.version.generation - before.version.generation);
    let update = doc! { "$inc": { "generation": by, MARKED: by }, "$set": set };
    galleries.update_one(of, update).upsert(true).session(session).await?;
    Ok(Some(after))
}

/// Raises the gallery's generation for a change that marks all documents it changes and deletes no face. Returns the
/// gallery's state after that. If this comes first in a transaction, transactions on one gallery follow one another,
/// and each sees the writes of those before it.
///
/// # Errors
/// [`MongoError::Driver`] when the server fails, [`MongoError::Document`] when a stored document is not what muster
/// wrote.
pub async fn raise(
    store: &MongoFaces,
    session: &mut ClientSession,
    gallery: &GalleryId,
) -> Result<GalleryHead, MongoError> {
    let galleries = store.collection(names::GALLERIES);
    let raise = doc! { "$inc": { "generation": 1i64, MARKED: 1i64 } };
    let raised = galleries.find_one_and_update(doc! { "_id": &gallery.0 }, raise).upsert(true);
    let raised = raised.return_document(ReturnDocument::After).session(session).await?;
    raised.as_ref().map_or(Ok(GalleryHead::default()), GalleryHead::of)
}

/// Returns the documents that match a filter, within a transaction.
///
/// # Errors
/// [`MongoError::Driver`] when the server fails.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grouping_is_saved_only_onto_the_revision_and_the_partition_that_it_was_made_from() {
        let pointer = PartitionPointer::default();
        let head = |generation, revision, pointer| GalleryHead {
            version: GalleryVersion { generation, revision },
            pointer,
            unmarked: 2,
        };
        let read = head(9, 4, pointer).version;
        let advance = |saved| Advance { read, at: pointer, saved };
        // Faces were added meanwhile, or not.
        let (added, same) = (head(12, 4, pointer), head(9, 4, pointer));
        for (saved, before, expected) in [
            (Saved::Unchanged, same, Some((same, Some(9)))),
            (Saved::Unchanged, added, Some((added, Some(9)))),
            (Saved::InPlace, same, Some((head(10, 5, pointer), Some(10)))),
            (Saved::InPlace, added, Some((head(13, 5, pointer), Some(9)))),
            (Saved::Staged, same, Some((head(10, 5, pointer.next()), Some(10)))),
            (Saved::Staged, added, Some((head(13, 5, pointer.next()), Some(9)))),
            (Saved::Copied, added, Some((head(12, 4, pointer.next()), None))),
            (Saved::InPlace, head(9, 5, pointer), None),
            (Saved::Staged, head(12, 5, pointer), None),
            (Saved::InPlace, head(9, 4, pointer.next()), None),
            (Saved::Copied, head(9, 4, pointer.next()), None),
        ] {
            assert_eq!(advance(saved).after(before), expected, "{saved:?} {before:?}");
        }
    }
}
