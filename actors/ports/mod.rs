//! The ports of the actors to outside systems: one small trait a file, with its typed error.

pub mod analyses;
pub mod cas_object;
pub mod decoder;
pub mod engine;
pub mod faces;
mod failures;
pub mod fleet;
pub mod index;
pub(crate) mod none;
pub mod objects;
pub mod observer;
pub mod outbox;
pub mod queue;
pub mod queue_metrics;
pub mod releases;

use std::sync::Arc;

use crate::domain::gallery::{GalleryId, GallerySnapshot, Reconciled};

/// The function that groups a gallery's faces. It blocks, and runs off the actors' thread.
pub(crate) type Reconcile =
    Arc<dyn Fn(&GalleryId, GallerySnapshot) -> Result<Reconciled, index::IndexError> + Send + Sync>;

/// The adapters that a pipeline runs over.
#[derive(Clone)]
pub struct Ports {
    /// The queue of work.
    pub queue: Arc<dyn queue::Queue>,
    /// Remembers which receives ended in a release.
    pub releases: Arc<dyn releases::Releases>,
    /// The source of images.
    pub objects: Arc<dyn objects::Objects>,
    /// The cache of analyses, where there is one.
    pub analyses: Option<Arc<dyn analyses::Analyses>>,
    /// Decodes bytes into pixels.
    pub decoder: Arc<dyn decoder::Decoder>,
    /// Decodes images whose earlier receipts did not end, in a process of its own. An image that kills it is rejected
    /// as [`Crashed`](crate::domain::image::RejectReason::Crashed).
    pub isolated_decoder: Arc<dyn decoder::Decoder>,
    /// The engines, one for each device.
    pub engines: Vec<Arc<dyn engine::Engine>>,
    /// The store of results.
    pub faces: Arc<dyn faces::Faces>,
    /// Groups a gallery; `None` where another worker does.
    pub reconcile: Option<Reconcile>,
}
