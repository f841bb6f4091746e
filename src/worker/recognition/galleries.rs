//! Where the people come from that are searched.

use async_trait::async_trait;
use muster_actors::domain::gallery::{GalleryId, GallerySnapshot};
use muster_actors::ports::faces::{Faces, FacesError};

use muster_stores::mongo::MongoFaces;

/// Galleries that can be read.
#[async_trait]
pub trait Galleries: Send + Sync {
    /// Grows with every change of a gallery; `None` where there is no such gallery.
    async fn generation(&self, gallery: &GalleryId) -> Result<Option<u64>, FacesError>;
    /// Its faces and groups.
    async fn snapshot(&self, gallery: &GalleryId) -> Result<GallerySnapshot, FacesError>;
}

#[async_trait]
impl Galleries for MongoFaces {
    async fn generation(&self, gallery: &GalleryId) -> Result<Option<u64>, FacesError> {
        // Nobody wrote to it: there is none.
        Ok(Some(MongoFaces::generation(self, gallery).await?).filter(|generation| *generation > 0))
    }

    async fn snapshot(&self, gallery: &GalleryId) -> Result<GallerySnapshot, FacesError> {
        self.gallery(gallery).await
    }
}
