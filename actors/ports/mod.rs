//! What the actors need of the world, one small trait a file with its typed error.

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

/// The function that groups a gallery's faces. Blocking: runs off the actors' thread.
pub(crate) type Reconcile =
    Arc<dyn Fn(&GalleryId, GallerySnapshot) -> Result<Reconciled, index::IndexError> + Send + Sync>;

/// The ends of the pipeline.
#[derive(Clone)]
pub struct Ports {
    /// Where work comes from.
    pub queue: Arc<dyn queue::Queue>,
    /// Which of its receives ended in a release.
    pub releases: Arc<dyn releases::Releases>,
    /// Where bytes come from.
    pub objects: Arc<dyn objects::Objects>,
    /// Analyses that were made before; `None` remembers nothing.
    pub analyses: Option<Arc<dyn analyses::Analyses>>,
    /// From bytes to pixels.
    pub decoder: Arc<dyn decoder::Decoder>,
    /// The same where its death harms nobody else: for images whose earlier receipts had no end. One that kills it is rejected
    /// as [`Crashed`](crate::domain::image::RejectReason::Crashed).
    pub isolated_decoder: Arc<dyn decoder::Decoder>,
    /// One a device.
    pub engines: Vec<Arc<dyn engine::Engine>>,
    /// Where results go.
    pub faces: Arc<dyn faces::Faces>,
    /// Groups a gallery; `None` where another worker does.
    pub reconcile: Option<Reconcile>,
}
