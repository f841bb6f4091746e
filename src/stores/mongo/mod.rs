//! Faces, images, groups and what people said in MongoDB, in the two databases of the Python service that muster replaces
//! (docs/fleet.md).
//!
//! Writes are idempotent by key. One image's result is several statements in unordered bulks; it counts as written when all
//! of them are acknowledged by a majority. Every write of faces ends by raising its gallery's generation: there is something
//! to group. Every write but those that only add faces raises its revision with it; groups are saved in a transaction that
//! checks the revision. A grouping that changes much is written beside the groups that hold, and takes their place at the end.

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

/// Why MongoDB did not do what was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum MongoError {
    /// The driver or the server says so.
    #[error("MongoDB: {0}")]
    Driver(#[from] mongodb::error::Error),
    /// One statement of a bulk failed.
    #[error("MongoDB: {message} (code {code})")]
    Statement {
        /// The server's error code.
        code: i32,
        /// For a person.
        message: String,
    },
    /// A bulk was done, and it is not known how far.
    #[error("MongoDB: {message} (code {code})")]
    Unconfirmed {
        /// The server's error code.
        code: i32,
        /// For a person.
        message: String,
    },
    /// A document is not what muster wrote.
    #[error("MongoDB: {0}")]
    Document(String),
    /// The result cannot be stored as it is.
    #[error("{0}")]
    Invalid(String),
    /// The gallery changed since the snapshot.
    #[error("the gallery changed meanwhile")]
    Conflict,
    /// The server ended a transaction that took long, or was large.
    #[error("MongoDB ended a transaction: {0}")]
    Aborted(String),
    /// The server cannot do what muster needs.
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

/// Collections of the database of faces.
pub(crate) mod names {
    pub const IMAGES: &str = "images";
    pub const FACES: &str = "faces";
    pub(crate) const GROUPS: &str = "groups";
    /// Groups of a partition beside that one.
    pub(crate) const STAGED_GROUPS: &str = "staged_groups";
    /// Who writes a gallery's next partition.
    pub(crate) const STAGING: &str = "staging";
    pub(crate) const FACTS: &str = "facts";
    pub(crate) const CHANGES: &str = "changes";
    /// What people said, as a release before this one kept it: read once.
    pub(crate) const DECISIONS: &str = "decisions";
    pub(crate) const GALLERIES: &str = "galleries";
    pub(crate) const LINEAGE: &str = "lineage";
    pub const FORGOTTEN: &str = "forgotten";
    pub(crate) const PACKS: &str = "packs";
    pub(crate) const INTERRUPTIONS: &str = "interruptions";
    pub(crate) const RELEASES: &str = "releases";
}

/// What is waited for the end of a connection.
const GOODBYE: Duration = Duration::from_secs(2);

/// The store of a fleet.
#[derive(Clone)]
pub struct MongoFaces {
    client: Client,
    faces: Database,
    metadata: Option<Database>,
    bulks: bulk::Bulks,
    vectors: Option<Arc<dyn Embeddings>>,
    origin: Option<Origin>,
    /// Names the figures that galleries are grouped with.
    grouping: String,
    /// Galleries that are known from the last time; `None` reads them as a whole each time.
    copies: Option<Arc<GalleryCopies>>,
}

impl MongoFaces {
    /// Over a connection whose indexes exist; embeddings are taken from `vectors` where they are there.
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

    /// Results that it writes say where they come from.
    pub fn with_origin(self, origin: Origin) -> Self {
        Self { origin: Some(origin), ..self }
    }

    /// Groups are made with these figures: a gallery whose groups were made with others is grouped again.
    pub fn with_grouping(self, params: &Params) -> Self {
        let figures = format!("{}:{params:?}", env!("CARGO_PKG_VERSION"));
        Self { grouping: blake3::hash(figures.as_bytes()).to_hex()[..16].to_owned(), ..self }
    }

    /// Keeps copies of the galleries that it reads, so that only what changed is read the next time.
    pub fn with_copies(self, copies: GalleryCopies) -> Self {
        Self { copies: Some(Arc::new(copies)), ..self }
    }

    /// Tries an update that matches nothing, in both databases.
    ///
    /// # Errors
    /// Why a worker could not write.
    pub async fn may_write(&self) -> Result<(), MongoError> {
        for database in [Some(&self.faces), self.metadata.as_ref()].into_iter().flatten() {
            let images = database.collection::<Document>(names::IMAGES);
            images.update_one(doc! { "_id": "nobody" }, doc! { "$set": { "checked": true } }).await?;
        }
        Ok(())
    }

    /// Ends the connections; every call after this fails. A client that is only dropped says goodbye in the background, and panics where
    /// its runtime goes first (mongodb 3.9).
    pub async fn close(&self) {
        for database in [Some(&self.faces), self.metadata.as_ref()].into_iter().flatten() {
            // A server that is away is no reason to stay.
            let _ = timeout(GOODBYE, database.client().clone().shutdown().immediate(true).into_future()).await;
        }
    }

    /// Writes results whose crops and results lie where `packed` says; one outcome for each, in order.
    ///
    /// # Errors
    /// As [`Faces::commit`].
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
