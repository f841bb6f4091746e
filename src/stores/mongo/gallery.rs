//! Reads a gallery for grouping.

use mongodb::Cursor;
use mongodb::bson::{DateTime, Document, doc};
use mongodb::options::ReadConcern;
use muster_actors::domain::gallery::{GalleryId, GallerySnapshot, GalleryVersion};

use super::change_marks::{MARKED, seen_until};
use super::documents::unsigned;
use super::gallery_copy::GalleryCopy;
use super::pointer::{PartitionPointer, PartitionRead};
use super::{MongoError, MongoFaces, conversion, names};

/// Number of documents in one batch of a cursor.
pub(super) const BATCH: u32 = 5_000;

/// State of a gallery: its version and the location of its groups.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GalleryHead {
    /// Generation and revision of the gallery.
    pub version: GalleryVersion,
    /// Location of the partition in force.
    pub pointer: PartitionPointer,
    /// Number of its generations that deleted faces, or were written by an older release without marks.
    pub unmarked: u64,
}

impl GalleryHead {
    /// Reads the state from a gallery's document.
    ///
    /// # Errors
    /// [`MongoError::Document`] when the field is missing or of another kind.
    pub fn of(state: &Document) -> Result<Self, MongoError> {
        let version = version_of(state)?;
        let marked = if state.contains_key(MARKED) { unsigned(state, MARKED)? } else { 0 };
        Ok(Self { version, pointer: PartitionPointer::of(state)?, unmarked: version.generation.saturating_sub(marked) })
    }

    /// Tells whether both states have the same groups.
    pub fn has_groups_of(self, other: Self) -> bool {
        self.version.revision == other.version.revision && self.pointer == other.pointer
    }
}

/// Reads a whole gallery. The version is read first, and writes in the meantime raise it. Faces that are added in the
/// meantime may be included or not; any other write raises the revision, so that saving ends in a conflict. A gallery
/// that does not exist is empty, with generation 0.
///
/// # Errors
/// [`MongoError::Driver`] when the server fails, [`MongoError::Document`] when a stored document is not what muster
/// wrote. Also [`MongoError::Conflict`] when the partition in force changes all the time.
pub async fn snapshot(store: &MongoFaces, gallery: &GalleryId) -> Result<GallerySnapshot, MongoError> {
    if conversion::convert(store, gallery).await?.is_none() {
        return Ok(GallerySnapshot::default());
    }
    let mut reading = PartitionRead::begin(store, gallery).await?;
    loop {
        let head = reading.head();
        let Some(copies) = &store.copies else {
            let copy = GalleryCopy::read(store, gallery, head, DateTime::MIN).await?;
            if reading.is_whole().await? {
                return copy.into_snapshot();
            }
            continue;
        };
        let copy = match copies.follow(store, gallery, head).await? {
            Some(copy) => copy,
            None => GalleryCopy::read(store, gallery, head, seen_until(store).await?).await?,
        };
        if reading.is_whole().await? {
            return copies.read_from(gallery, copy);
        }
    }
}

/// Reads the state of a gallery; `None` if it does not exist.
///
/// # Errors
/// [`MongoError::Driver`] when the server fails, [`MongoError::Document`] when a stored document is not what muster
/// wrote.
pub async fn head(store: &MongoFaces, gallery: &GalleryId) -> Result<Option<GalleryHead>, MongoError> {
    let found = state(store, gallery).await?;
    found.as_ref().map(GalleryHead::of).transpose()
}

/// Field of a gallery with the number of its generations that only added faces. An older release does not know the
/// field, so its writes raise the revision.
pub const ADDITIONS: &str = "additions";

/// Fields of a gallery: the generation whose faces are all in its groups, and the hash of the parameters that they were
/// grouped with.
pub const GROUPED: &str = "grouped";
pub const GROUPED_BY: &str = "grouped_by";

/// Tells whether a gallery's groups include all of its faces and were made with the parameters `grouping`.
///
/// # Errors
/// [`MongoError::Document`] when the field is missing or of another kind.
pub fn is_grouped(state: &Document, grouping: &str) -> Result<bool, MongoError> {
    let is_same = state.get_str(GROUPED_BY).is_ok_and(|by| by == grouping);
    Ok(is_same && unsigned(state, GROUPED)? == unsigned(state, "generation")?)
}

/// Reads the version from a gallery's document.
///
/// # Errors
/// [`MongoError::Document`] when the field is missing or of another kind.
pub fn version_of(state: &Document) -> Result<GalleryVersion, MongoError> {
    let generation = unsigned(state, "generation")?;
    let additions = if state.contains_key(ADDITIONS) { unsigned(state, ADDITIONS)? } else { 0 };
    Ok(GalleryVersion { generation, revision: generation.saturating_sub(additions) })
}

/// Reads the document of a gallery; `None` if it does not exist.
///
/// # Errors
/// [`MongoError::Driver`] when the server fails.
pub async fn state(store: &MongoFaces, gallery: &GalleryId) -> Result<Option<Document>, MongoError> {
    let galleries = store.collection(names::GALLERIES);
    let found = galleries.find_one(doc! { "_id": &gallery.0 }).read_concern(ReadConcern::majority());
    Ok(found.await?)
}

/// Finds all documents of a gallery in a collection, with read concern "majority".
///
/// # Errors
/// [`MongoError::Driver`] when the server fails.
pub async fn find(
    store: &MongoFaces,
    collection: &str,
    gallery: &GalleryId,
    projection: Document,
    sort: Document,
) -> Result<Cursor<Document>, MongoError> {
    query(store, collection, doc! { "gallery": &gallery.0 }, projection, sort).await
}

/// Finds the documents that match a filter, with read concern "majority".
///
/// # Errors
/// [`MongoError::Driver`] when the server fails.
pub async fn query(
    store: &MongoFaces,
    collection: &str,
    filter: Document,
    projection: Document,
    sort: Document,
) -> Result<Cursor<Document>, MongoError> {
    let collection = store.collection(collection);
    let found = collection.find(filter).projection(projection).sort(sort).batch_size(BATCH);
    Ok(found.read_concern(ReadConcern::majority()).await?)
}

/// Counts the documents that match a filter, with read concern "majority".
///
/// # Errors
/// [`MongoError::Driver`] when the server fails.
pub async fn count(store: &MongoFaces, collection: &str, filter: Document) -> Result<u64, MongoError> {
    let collection = store.collection(collection);
    Ok(collection.count_documents(filter).read_concern(ReadConcern::majority()).await?)
}
