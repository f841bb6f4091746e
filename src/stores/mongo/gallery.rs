//! A gallery as the grouper reads it.

use mongodb::Cursor;
use mongodb::bson::{DateTime, Document, doc};
use mongodb::options::ReadConcern;
use muster_actors::domain::gallery::{GalleryId, GallerySnapshot, GalleryVersion};

use super::change_marks::{MARKED, seen_until};
use super::documents::unsigned;
use super::gallery_copy::GalleryCopy;
use super::pointer::{PartitionPointer, PartitionRead};
use super::{MongoError, MongoFaces, conversion, names};

/// Documents that a cursor brings at once.
pub(super) const BATCH: u32 = 5_000;

/// How far a gallery is, and where its groups are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GalleryHead {
    /// How far it is.
    pub version: GalleryVersion,
    /// Which of its partitions holds.
    pub pointer: PartitionPointer,
    /// How many of its generations deleted faces, or were written by a release that marks nothing.
    pub unmarked: u64,
}

impl GalleryHead {
    /// By a gallery's document.
    pub fn of(state: &Document) -> Result<Self, MongoError> {
        let version = version_of(state)?;
        let marked = if state.contains_key(MARKED) { unsigned(state, MARKED)? } else { 0 };
        Ok(Self { version, pointer: PartitionPointer::of(state)?, unmarked: version.generation.saturating_sub(marked) })
    }

    /// Whether groups that were read with the one are those of the other.
    pub fn has_groups_of(self, other: Self) -> bool {
        self.version.revision == other.version.revision && self.pointer == other.pointer
    }
}

/// Everything of a gallery. Its version is read first: what is written while the rest is read raises that. Faces that are
/// added meanwhile may be in it or not; anything else raises the revision, and saving ends in a conflict. A gallery nobody
/// wrote to is empty, generation 0.
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

/// How far a gallery is; `None` where nobody wrote to it.
pub async fn head(store: &MongoFaces, gallery: &GalleryId) -> Result<Option<GalleryHead>, MongoError> {
    let found = state(store, gallery).await?;
    found.as_ref().map(GalleryHead::of).transpose()
}

/// Where a gallery says how many of its generations only added faces. A release before knew of none: what it writes raises
/// the revision.
pub const ADDITIONS: &str = "additions";

/// Where a gallery says which generation's faces are all in its groups, and with which figures they were grouped.
pub const GROUPED: &str = "grouped";
pub const GROUPED_BY: &str = "grouped_by";

/// Whether a gallery's groups are those of its faces as `grouping` makes them.
pub fn is_grouped(state: &Document, grouping: &str) -> Result<bool, MongoError> {
    let is_same = state.get_str(GROUPED_BY).is_ok_and(|by| by == grouping);
    Ok(is_same && unsigned(state, GROUPED)? == unsigned(state, "generation")?)
}

/// How far a gallery is, by its document.
pub fn version_of(state: &Document) -> Result<GalleryVersion, MongoError> {
    let generation = unsigned(state, "generation")?;
    let additions = if state.contains_key(ADDITIONS) { unsigned(state, ADDITIONS)? } else { 0 };
    Ok(GalleryVersion { generation, revision: generation.saturating_sub(additions) })
}

/// What is noted of a gallery as a whole.
pub async fn state(store: &MongoFaces, gallery: &GalleryId) -> Result<Option<Document>, MongoError> {
    let galleries = store.collection(names::GALLERIES);
    let found = galleries.find_one(doc! { "_id": &gallery.0 }).read_concern(ReadConcern::majority());
    Ok(found.await?)
}

/// All documents of a gallery in a collection, as a majority has them.
pub async fn find(
    store: &MongoFaces,
    collection: &str,
    gallery: &GalleryId,
    projection: Document,
    sort: Document,
) -> Result<Cursor<Document>, MongoError> {
    query(store, collection, doc! { "gallery": &gallery.0 }, projection, sort).await
}

/// The documents that a filter finds, as a majority has them.
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

/// How many documents a filter finds, as a majority has them.
pub async fn count(store: &MongoFaces, collection: &str, filter: Document) -> Result<u64, MongoError> {
    let collection = store.collection(collection);
    Ok(collection.count_documents(filter).read_concern(ReadConcern::majority()).await?)
}
