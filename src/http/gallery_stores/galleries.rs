//! Gives recognition the gallery of a library.

use std::sync::Arc;

use async_trait::async_trait;
use muster_actors::domain::gallery::{GalleryId, GallerySnapshot};
use muster_actors::ports::faces::FacesError;
use muster_gallery::LIBRARY_GALLERY;

use muster_library::{Library, LibraryError, groups};
use muster_worker::recognition::galleries::Galleries;
use parking_lot::Mutex;

/// The one gallery of a library, read beside its writer.
pub struct LibraryGallery(Arc<Mutex<Library>>);

impl LibraryGallery {
    /// Creates the gallery of a library that is open for reading.
    pub fn new(library: Library) -> Self {
        Self(Arc::new(Mutex::new(library)))
    }

    async fn read<R: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Library) -> Result<R, LibraryError> + Send + 'static,
    ) -> Result<R, FacesError> {
        let library = Arc::clone(&self.0);
        let read = move || work(&mut library.lock());
        Ok(tokio::task::spawn_blocking(read).await.map_err(FacesError::from)??)
    }
}

#[async_trait]
impl Galleries for LibraryGallery {
    async fn generation(&self, gallery: &GalleryId) -> Result<Option<u64>, FacesError> {
        if gallery.0 != LIBRARY_GALLERY {
            return Ok(None);
        }
        let gallery = gallery.clone();
        self.read(move |library| groups::generation(library.db(), &gallery)).await.map(Some)
    }

    async fn snapshot(&self, gallery: &GalleryId) -> Result<GallerySnapshot, FacesError> {
        let gallery = gallery.clone();
        self.read(move |library| groups::snapshot(library.db_mut(), &gallery)).await
    }
}
