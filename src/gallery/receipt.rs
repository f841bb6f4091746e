//! The receipt of a `forget`: what was deleted where.

use std::collections::{BTreeMap, BTreeSet};

use muster_actors::domain::gallery::{GalleryId, GroupId};
use serde::Serialize;

/// The receipt of a `forget`.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum Receipt {
    /// In a library.
    Library(LibraryReceipt),
    /// In a fleet's stores.
    Fleet(FleetReceipt),
}

/// What a `forget` deleted from a library.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LibraryReceipt {
    /// The path or the group.
    pub target: String,
    /// Photos that were taken out, or lost faces.
    pub images: u64,
    /// Faces, with box, landmarks and quality.
    pub faces: u64,
    /// Embeddings, and their bytes.
    pub vectors: u64,
    /// Bytes of embeddings.
    pub vector_bytes: u64,
    /// Face crops.
    pub crops: u64,
    /// Bytes of face crops.
    pub crop_bytes: u64,
    /// Deleted rows by table.
    pub rows: BTreeMap<String, u64>,
    /// Entries of the history that named one of the faces or the person, and do no more.
    pub changes: u64,
    /// The ids of faces and persons that were deleted.
    #[serde(skip)]
    pub forgotten: BTreeSet<[u8; 16]>,
    /// Groups that no longer exist.
    pub groups: Vec<GroupId>,
    /// Groups that lost faces and were computed anew without them.
    pub recomputed: Vec<GroupId>,
    /// What is kept so that it does not come back: forgotten paths and places in photos, without a face.
    pub tombstones: u64,
    /// Bytes of the library's database before.
    pub bytes_before: u64,
    /// Bytes of the library's database after.
    pub bytes_after: u64,
    /// Files in the library folder that were deleted because they showed faces.
    pub files: Vec<String>,
    /// The database was rewritten without what was deleted. `false`: another process was reading it;
    /// deleted rows are overwritten, but copies may be left in the journal until the next `forget`.
    pub rewritten: bool,
}

/// What a `forget` deleted from a fleet's stores.
#[derive(Clone, Debug, Serialize)]
pub struct FleetReceipt {
    /// The gallery.
    pub gallery: GalleryId,
    /// The images or the group.
    pub target: String,
    /// Images that went, or lost faces.
    pub images: u64,
    /// Faces, with box, landmarks, quality and embedding.
    pub faces: u64,
    /// Facts that people stated about these faces.
    pub decisions: u64,
    /// Face crops in S3.
    pub crops: u64,
    /// Results in S3.
    pub results: u64,
    /// Objects that held crops or results of many images, and were written anew without these.
    pub packs_rewritten: u64,
    /// Such objects that were deleted, because nothing else was left in them.
    pub packs_deleted: u64,
    /// Such objects that a worker was about to write: it deletes them, or where it died a worker or `forget` does after a day.
    pub packs_awaited: u64,
    /// No byte of what was deleted is left in S3; else `packs_awaited` or `versions_stay` says why.
    pub bytes_gone: bool,
    /// Groups that no longer exist.
    pub groups: Vec<GroupId>,
    /// Groups that lost faces and were computed anew without them.
    pub recomputed: Vec<GroupId>,
    /// Groups that came about: of faces that were in no group, or in another; a forgotten person's too.
    pub appeared: Vec<GroupId>,
    /// The gallery was grouped without them; else it is being written to all the time, and its next grouping leaves them out.
    pub regrouped: bool,
    /// What is kept so that it does not come back: images, prefixes and places in images, without a face. Those that are new.
    pub tombstones: u64,
    /// The state of the cache.
    pub cache: CacheErasure,
    /// A bucket keeps versions: the old ones of what was deleted stay until its lifecycle removes them.
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
