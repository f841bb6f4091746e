//! What a web front needs of recognition, wherever it happens.

use async_trait::async_trait;
use bytes::Bytes;
use muster_actors::domain::exit::Exit;
use muster_actors::domain::gallery::GalleryId;
use muster_actors::domain::image::Rejection;
use muster_actors::flow::progress::Progress;
use tokio::sync::watch;

use super::room::Place;
use super::seen::{Ask, Found, Seen};

/// Why a request has no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no room: ask again later.
    #[error("{0} photos are waiting already")]
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
    /// The service is going away.
    #[error("the service is stopping")]
    Closed,
    /// Something that it depends on does not answer.
    #[error("{0}")]
    Unavailable(String),
    /// Something is wrong with the service.
    #[error("{0}")]
    Broken(String),
}

/// Knows whose faces are in a photo.
#[async_trait]
pub trait Recognizer: Send + Sync {
    /// A place for a photo of at most `bytes`.
    ///
    /// # Errors
    /// There is no room.
    fn place(&self, bytes: usize) -> Result<Place, Refusal>;
    /// The faces in a photo that has its place, and whose they are. Dropped, the request is withdrawn.
    async fn recognize(&self, place: &Place, photo: Bytes, ask: Ask) -> Result<Seen, Refusal>;
    /// The same, with the faces themselves; of many there are two at least.
    async fn find(&self, place: &Place, photo: Bytes, ask: Ask) -> Result<Found, Refusal>;
    /// Whether it can answer now; else why not.
    async fn ready(&self) -> Result<(), String>;
    /// What its pipeline does.
    fn progress(&self) -> watch::Receiver<Progress>;
    /// Returns when it cannot answer any more, with the reason.
    async fn ended(&self) -> Exit;
    /// Takes no more photos.
    fn close(&self);
    /// Returns when nothing is left behind.
    async fn finished(&self);
}
