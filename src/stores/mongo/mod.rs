//! Stores faces, images, groups and facts in MongoDB, in the two databases of the Python service that muster replaces
//! (docs/fleet.md).
//!
//! Writes are idempotent by key. The result of one image is several statements in unordered bulks; it counts as written
//! when a majority of servers acknowledged all of them. Every write of faces then raises its gallery's generation,
//! which tells that there are faces to group. Every write that does more than add faces raises the gallery's revision
//! too; groups are saved in a transaction that checks the revision. A grouping with many changes is written beside the
//! groups in force, and replaces them at the end.

mod bulk;
mod change_marks;
pub mod classify;
mod connect;
mod conversion;
mod corrections;
mod cutover_stats;
mod difference;
pub mod documents;
mod erase;
mod erase_facts;
pub mod facts;
mod forgotten;
mod gallery;
mod gallery_copy;
mod group_update;
mod history;
mod indexes;
mod non_faces;
mod order;
mod packs;
pub mod pages;
mod partition;
mod photos;
mod pointer;
mod published_groups;
mod questions;
mod releases;
mod scene;
mod staged;
mod stored_faces;
mod tombstones;
mod transaction;
mod write;

use std::sync::Arc;
use std::time::Duration;

use crate::embeddings::Embeddings;
use async_trait::async_trait;
use mongodb::bson::{Document, doc};
use mongodb::{Client, Collection, Database};
use muster_actors::domain::gallery::{GalleryId, GallerySnapshot, GalleryVersion, Reconciled};
use muster_actors::grouping::Params;
use muster_actors::ports::faces::{Commit, Faces, FacesError};
use muster_gallery::{GalleryError, StoreFault};
use tokio::time::timeout;

pub use connect::{Connection, Uris};
pub use cutover_stats::{CutoverStats, Origin};
pub use erase::{Known, KnownFace, PAGE};
pub use gallery::GalleryHead;
pub use gallery_copy::GalleryCopies;
pub use packs::{PackEntry, PackKind, PackRange, PackRecord, Packed};
pub use published_groups::{FaceLocation, GroupChanges, IdPrefix, LocatedGroup, LookedAt};
pub use releases::MongoReleases;
pub use tombstones::{Scope, Tombstones};

/// Reason why an operation of MongoDB failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum MongoError {
    /// The driver or the server failed.
    #[error("MongoDB: {0}")]
    Driver(#[from] mongodb::error::Error),
    /// One statement of a bulk failed.
    #[error("MongoDB: {message} (code {code})")]
    Statement {
        /// The server's error code.
        code: i32,
        /// Message for a person.
        message: String,
    },
    /// A bulk ended, but its outcome is unknown.
    #[error("MongoDB: {message} (code {code})")]
    Unconfirmed {
        /// The server's error code.
        code: i32,
        /// Message for a person.
        message: String,
    },
    /// A stored document is not what muster wrote.
    #[error("MongoDB: {0}")]
    Document(String),
    /// The result breaks a rule, such as that all numbers are finite, and cannot be stored.
    #[error("{0}")]
    Invalid(String),
    /// The gallery changed since the snapshot, or a claim was lost.
    #[error("the gallery changed meanwhile")]
    Conflict,
    /// The server aborted a transaction that was too long or too large.
    #[error("MongoDB ended a transaction: {0}")]
    Aborted(String),
    /// The server lacks a feature that muster needs.
    #[error("MongoDB: {0}")]
    Unfit(String),
}

impl From<MongoError> for FacesError {
    fn from(error: MongoError) -> Self {
        match error {
            MongoError::Conflict => Self::Conflict,
            error => Self::Failed { class: classify::class(&error), message: error.to_string() },
        }
    }
}

impl From<MongoError> for GalleryError {
    fn from(error: MongoError) -> Self {
        StoreFault::from_class(classify::class(&error), error.to_string()).into()
    }
}

impl From<mongodb::bson::error::Error> for MongoError {
    fn from(error: mongodb::bson::error::Error) -> Self {
        Self::Document(error.to_string())
    }
}

/// Names of the collections in the database of faces.
pub(crate) mod names {
    pub const IMAGES: &str = "images";
    pub const FACES: &str = "faces";
    pub(crate) const GROUPS: &str = "groups";
    /// Groups of the partition that is written beside the main one.
    pub(crate) const STAGED_GROUPS: &str = "staged_groups";
    /// Claims of the writers of galleries' next partitions.
    pub(crate) const STAGING: &str = "staging";
    pub(crate) const FACTS: &str = "facts";
    pub(crate) const CHANGES: &str = "changes";
    /// Decisions of people in the form of an older release, which are converted once.
    pub(crate) const DECISIONS: &str = "decisions";
    pub(crate) const GALLERIES: &str = "galleries";
    pub(crate) const LINEAGE: &str = "lineage";
    pub const FORGOTTEN: &str = "forgotten";
    pub(crate) const PACKS: &str = "packs";
    pub(crate) const INTERRUPTIONS: &str = "interruptions";
    pub(crate) const RELEASES: &str = "releases";
}

/// Longest time to wait for the connections to close.
const GOODBYE: Duration = Duration::from_secs(2);

/// Store of a fleet.
#[derive(Clone)]
pub struct MongoFaces {
    client: Client,
    faces: Database,
    metadata: Option<Database>,
    bulks: bulk::Bulks,
    vectors: Option<Arc<dyn Embeddings>>,
    origin: Option<Origin>,
    /// Hash of the parameters that galleries are grouped with.
    grouping: String,
    /// Copies of galleries from the last grouping; `None` reads each gallery as a whole each time.
    copies: Option<Arc<GalleryCopies>>,
}

impl MongoFaces {
    /// Creates the store over a connection whose indexes exist. Embeddings are read from `vectors` where possible.
    pub fn new(connection: &Connection, vectors: Option<Arc<dyn Embeddings>>) -> Self {
        Self {
            client: connection.faces.client().clone(),
            faces: connection.faces.clone(),
            metadata: connection.metadata.clone(),
            bulks: bulk::Bulks::new(connection),
            vectors,
            origin: None,
            grouping: String::new(),
            copies: None,
        }
    }

    /// Adds an origin to the results that it writes.
    pub fn with_origin(self, origin: Origin) -> Self {
        Self { origin: Some(origin), ..self }
    }

    /// Sets the parameters of grouping. A gallery whose groups were made with other parameters is grouped again.
    pub fn with_grouping(self, params: &Params) -> Self {
        let figures = format!("{}:{params:?}", env!("CARGO_PKG_VERSION"));
        Self { grouping: blake3::hash(figures.as_bytes()).to_hex()[..16].to_owned(), ..self }
    }

    /// Keeps copies of the galleries that it reads, so that the next time only changes are read.
    pub fn with_copies(self, copies: GalleryCopies) -> Self {
        Self { copies: Some(Arc::new(copies)), ..self }
    }

    /// Tries an update that matches nothing, in both databases.
    ///
    /// # Errors
    /// [`MongoError::Driver`] with the reason why a worker could not write.
    pub async fn may_write(&self) -> Result<(), MongoError> {
        for database in [Some(&self.faces), self.metadata.as_ref()].into_iter().flatten() {
            let images = database.collection::<Document>(names::IMAGES);
            images.update_one(doc! { "_id": "nobody" }, doc! { "$set": { "checked": true } }).await?;
        }
        Ok(())
    }

    /// Closes the connections; every later call fails. A client that is only dropped closes them in the background, and
    /// panics if its runtime ends first (mongodb 3.9).
    pub async fn close(&self) {
        for database in [Some(&self.faces), self.metadata.as_ref()].into_iter().flatten() {
            // A server that is down does not delay the end.
            let _ = timeout(GOODBYE, database.client().clone().shutdown().immediate(true).into_future()).await;
        }
    }

    /// Writes results, whose crops and result lines are located by `packed`. Returns one outcome for each, in order.
    ///
    /// # Errors
    /// [`FacesError`] as for [`Faces::commit`], when the whole call failed.
    pub async fn commit_packed(
        &self,
        batch: &[Commit],
        packed: &Packed,
    ) -> Result<Vec<Result<(), FacesError>>, FacesError> {
        let outcomes = write::commit(self, batch, packed).await?;
        Ok(outcomes.into_iter().map(|outcome| outcome.map_err(FacesError::from)).collect())
    }

    pub(crate) fn collection(&self, name: &str) -> Collection<Document> {
        self.faces.collection(name)
    }
}

#[async_trait]
impl Faces for MongoFaces {
    async fn commit(&self, batch: Vec<Commit>) -> Result<Vec<Result<(), FacesError>>, FacesError> {
        self.commit_packed(&batch, &Packed::default()).await
    }

    async fn gallery(&self, gallery: &GalleryId) -> Result<GallerySnapshot, FacesError> {
        Ok(gallery::snapshot(self, gallery).await?)
    }

    async fn is_grouped(&self, gallery: &GalleryId) -> Result<bool, FacesError> {
        let Some(state) = gallery::state(self, gallery).await? else { return Ok(false) };
        Ok(gallery::is_grouped(&state, &self.grouping)?)
    }

    async fn save(&self, gallery: &GalleryId, read: GalleryVersion, reconciled: &Reconciled) -> Result<(), FacesError> {
        Ok(partition::save(self, gallery, read, reconciled).await?)
    }
}
