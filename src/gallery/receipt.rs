//! The receipt of a `forget`: what was deleted, and where.

use std::collections::{BTreeMap, BTreeSet};

use muster_actors::domain::gallery::{GalleryId, GroupId};
use serde::Serialize;

/// The receipt of a `forget`.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum Receipt {
    /// The receipt of a library.
    Library(LibraryReceipt),
    /// The receipt of a fleet's stores.
    Fleet(FleetReceipt),
}

/// Counts of the data that a `forget` deleted from a library.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LibraryReceipt {
    /// The path or the group that was to be forgotten.
    pub target: String,
    /// Number of photos that were removed or lost faces.
    pub images: u64,
    /// Number of faces, each with box, landmarks and quality.
    pub faces: u64,
    /// Number of embeddings.
    pub vectors: u64,
    /// Bytes of embeddings.
    pub vector_bytes: u64,
    /// Number of face crops.
    pub crops: u64,
    /// Bytes of face crops.
    pub crop_bytes: u64,
    /// Deleted rows by table.
    pub rows: BTreeMap<String, u64>,
    /// Number of entries in the history that named one of the faces or the person, and no longer do.
    pub changes: u64,
    /// Ids of faces and persons that were deleted.
    #[serde(skip)]
    pub forgotten: BTreeSet<[u8; 16]>,
    /// Groups that no longer exist.
    pub groups: Vec<GroupId>,
    /// Groups that lost faces and were computed again without them.
    pub recomputed: Vec<GroupId>,
    /// Number of notes that keep the data from coming back: forgotten paths and places in photos, without a face.
    pub tombstones: u64,
    /// Bytes of the library's database before.
    pub bytes_before: u64,
    /// Bytes of the library's database after.
    pub bytes_after: u64,
    /// Files in the library folder that were deleted because they showed faces.
    pub files: Vec<String>,
    /// Whether the database was rewritten without the deleted data. If `false`, another process was reading it: deleted
    /// rows are overwritten, but copies may remain in the journal until the next `forget`.
    pub rewritten: bool,
}

/// Counts of the data that a `forget` deleted from a fleet's stores.
#[derive(Clone, Debug, Serialize)]
pub struct FleetReceipt {
    /// Gallery from which the data was deleted.
    pub gallery: GalleryId,
    /// The images or the group that were to be forgotten.
    pub target: String,
    /// Number of images that were deleted or lost faces.
    pub images: u64,
    /// Number of faces, each with box, landmarks, quality and embedding.
    pub faces: u64,
    /// Number of facts that people stated about these faces.
    pub decisions: u64,
    /// Number of face crops in S3.
    pub crops: u64,
    /// Number of results in S3.
    pub results: u64,
    /// Number of objects with crops or results of many images that were rewritten without the deleted data.
    pub packs_rewritten: u64,
    /// Number of such objects that were deleted because nothing else was left in them.
    pub packs_deleted: u64,
    /// Number of such objects that a worker was about to write. The worker deletes them; if it died, another worker or
    /// a later `forget` does so after a day.
    pub packs_awaited: u64,
    /// Whether no byte of the deleted data is left in S3. If `false`, `packs_awaited` or `versions_stay` says why.
    pub bytes_gone: bool,
    /// Groups that no longer exist.
    pub groups: Vec<GroupId>,
    /// Groups that lost faces and were computed again without them.
    pub recomputed: Vec<GroupId>,
    /// Groups that appeared from faces that were in another group or in none, those of a forgotten person included.
    pub appeared: Vec<GroupId>,
    /// Whether the gallery was grouped again without the deleted faces. If `false`, it is being written to all the
    /// time, and its next grouping leaves them out.
    pub regrouped: bool,
    /// Number of new notes that keep the data from coming back: images, prefixes and places in images, without a face.
    pub tombstones: u64,
    /// The state of the cache.
    pub cache: CacheErasure,
    /// Whether a bucket keeps versions, so that old versions of the deleted data stay until its lifecycle removes them.
    pub versions_stay: bool,
}

/// Whether the forgotten data was deleted from the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CacheErasure {
    /// There is no cache.
    None,
    /// The cache holds none of the forgotten data.
    Emptied,
    /// The cache did not answer, and keeps its entries until they expire.
    Away,
}
