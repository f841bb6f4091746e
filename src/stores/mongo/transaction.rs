//! Several writes as one, guarded by a gallery's version.

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

/// A document with this id is there.
const DUPLICATE: i32 = 11000;

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
/// Those of the writes; [`MongoError::Conflict`] when it lost against another on the same gallery, [`MongoError::Aborted`]
/// when it took long or was large.
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

/// What the end of a transaction says of it. Nothing of it was done.
fn lost(error: MongoError) -> MongoError {
    let MongoError::Driver(driver) = &error else { return error };
    let ErrorKind::Command(command) = driver.kind.as_ref() else { return error };
    match command.code_name.as_str() {
        // Who loses against another transaction reads the gallery again.
        "WriteConflict" => MongoError::Conflict,
        // The same once more would end in the same way.
        "TransactionTooLarge" | "TransactionTooLargeForCache" | "TransactionExceededLifetimeLimitSeconds" => {
            MongoError::Aborted(command.message.clone())
        }
        _ => error,
    }
}

/// Whether the same may succeed in a moment.
fn is_transient(error: &MongoError) -> bool {
    match error {
        MongoError::Conflict => true,
        MongoError::Driver(driver) => driver.contains_label(TRANSIENT_TRANSACTION_ERROR),
        _ => false,
    }
}

/// Whether a document with the same id is there.
pub fn is_duplicate(error: &Error) -> bool {
    match error.kind.as_ref() {
        ErrorKind::Write(WriteFailure::WriteError(error)) => error.code == DUPLICATE,
        ErrorKind::Command(error) => error.code == DUPLICATE,
        _ => false,
    }
}

/// How often and how long one is tried again that lost against others.
pub struct ConflictRetry {
    since: Instant,
    pause: Duration,
}

impl ConflictRetry {
    /// Begins now.
    pub fn new() -> Self {
        Self { since: Instant::now(), pause: PAUSE }
    }

    /// Whether what was done ends it. Where it lost against others it is tried again after a pause, for a while.
    pub async fn ends<R>(&mut self, done: &Result<R, MongoError>) -> bool {
        if !done.as_ref().is_err_and(is_transient) || self.since.elapsed() >= PATIENCE {
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

/// What a grouping does to a gallery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Saved {
    /// Nothing: its groups were as they should be.
    Unchanged,
    /// It changes the partition that holds.
    InPlace,
    /// It puts another partition in its place.
    Staged,
    /// It puts the same partition in its place, as it is stored elsewhere.
    Copied,
}

/// Saves a grouping of a gallery.
#[derive(Clone, Copy, Debug)]
pub struct Advance {
    /// How far the gallery was when it was read: the revision must be that one still.
    pub read: GalleryVersion,
    /// The partition that must hold still.
    pub at: PartitionPointer,
    /// What is done.
    pub saved: Saved,
}

impl Advance {
    /// How far the gallery is after it, and which generation's faces are all in its groups then, where that is another than
    /// before. `None` where it must not be done.
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
        // All that a grouping changes is marked.
        Some((GalleryHead { version, pointer, unmarked: before.unmarked }, grouped))
    }
}

/// Notes in a gallery's document that a grouping is saved; how far the gallery is then. `None` where that must not be done.
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

/// Raises the gallery's generation for a change that marks what it changes and deletes no face; how far the gallery is then.
/// Where this comes first in a transaction, transactions on one gallery
/// come one after another, and each sees what those before it wrote.
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
