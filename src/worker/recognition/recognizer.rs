//! The interface between a web front and recognition, in this process or in workers.

use async_trait::async_trait;
use bytes::Bytes;
use muster_actors::domain::exit::Exit;
use muster_actors::domain::gallery::GalleryId;
use muster_actors::domain::image::Rejection;
use muster_actors::flow::progress::Progress;
use tokio::sync::watch;

use super::admission::Permit;
use super::query::{AnalysedPhoto, IdentifiedFaces, RecognitionQuery};

/// Reasons why a request has no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Too many photos wait; the caller may try again later.
    #[error("{0} photos are waiting already: try again later")]
    Busy(usize),
    /// The photo cannot be used.
    #[error(transparent)]
    Rejected(Rejection),
    /// There is no such gallery.
    #[error("there is no gallery {0}")]
    NoGallery(GalleryId),
    /// The service has no gallery of its own.
    #[error("no gallery was named, and the service has none of its own")]
    WhichGallery,
    /// The service is stopping.
    #[error("the service is stopping")]
    Closed,
    /// A dependency does not answer.
    #[error("{0}")]
    Unavailable(String),
    /// The service itself failed.
    #[error("{0}")]
    Broken(String),
}

/// Finds the faces in photos and identifies them.
#[async_trait]
pub trait Recognizer: Send + Sync {
    /// Takes a permit for a photo of at most `bytes`. It is released when it is dropped.
    ///
    /// # Errors
    /// [`Refusal::Busy`] where too many photos, or bytes of photos, wait.
    fn admit(&self, bytes: usize) -> Result<Permit, Refusal>;
    /// Finds and identifies the faces in a photo that has a permit. Dropping the future withdraws the request.
    async fn recognize(
        &self,
        permit: &Permit,
        photo: Bytes,
        query: RecognitionQuery,
    ) -> Result<IdentifiedFaces, Refusal>;
    /// Does the same and returns the faces with vectors and crops; of many faces at least two.
    async fn find(&self, permit: &Permit, photo: Bytes, query: RecognitionQuery) -> Result<AnalysedPhoto, Refusal>;
    /// Checks that requests can be answered now; the error says why not.
    async fn ready(&self) -> Result<(), String>;
    /// Watches the progress of the pipeline.
    fn progress(&self) -> watch::Receiver<Progress>;
    /// Waits until no request can be answered any more, and returns the reason.
    async fn ended(&self) -> Exit;
    /// Refuses new photos from now on.
    fn close(&self);
    /// Waits until everything that requests left behind is removed.
    async fn finished(&self);
}
