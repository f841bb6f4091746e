//! The source of the people that recognition searches.

use async_trait::async_trait;
use muster_actors::domain::gallery::{GalleryId, GallerySnapshot};
use muster_actors::ports::faces::{Faces, FacesError};

use muster_stores::mongo::MongoFaces;

/// A store whose galleries recognition reads.
#[async_trait]
pub trait Galleries: Send + Sync {
    /// Returns the generation of a gallery, which grows with every change; `None` where there is no such gallery.
    async fn generation(&self, gallery: &GalleryId) -> Result<Option<u64>, FacesError>;
    /// Reads the faces and groups of a gallery.
    async fn snapshot(&self, gallery: &GalleryId) -> Result<GallerySnapshot, FacesError>;
}

#[async_trait]
impl Galleries for MongoFaces {
    async fn generation(&self, gallery: &GalleryId) -> Result<Option<u64>, FacesError> {
        // A gallery that nobody has written to does not exist.
        Ok(Some(MongoFaces::generation(self, gallery).await?).filter(|generation| *generation > 0))
    }

    async fn snapshot(&self, gallery: &GalleryId) -> Result<GallerySnapshot, FacesError> {
        self.gallery(gallery).await
    }
}
