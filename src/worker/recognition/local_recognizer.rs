//! Recognition in this process, among the people of a library.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use muster_actors::domain::exit::Exit;
use muster_actors::domain::gallery::GalleryId;
use muster_actors::flow::progress::Progress;
use muster_actors::ports::faces::Commit;
use muster_gallery::LIBRARY_GALLERY;
use tokio::sync::watch;

use super::admission::Permit;
use super::error::RecognitionIndexError;
use super::query::{AnalysedPhoto, IdentifiedFaces, RecognitionQuery};
use super::recognition_index::RecognitionIndex;
use super::recognition_pipeline::RecognitionPipeline;
use super::recognizer::{Recognizer, Refusal};

/// Recognises faces with a pipeline in this process, among the people of a library.
pub struct LocalRecognizer {
    /// Finds the faces in photos.
    pub pipeline: RecognitionPipeline,
    /// Knows the people of the library.
    pub index: Arc<RecognitionIndex>,
}

impl From<RecognitionIndexError> for Refusal {
    fn from(error: RecognitionIndexError) -> Self {
        match error {
            RecognitionIndexError::NoGallery(gallery) => Self::NoGallery(gallery),
            RecognitionIndexError::Store(error) => Self::Broken(error.to_string()),
            RecognitionIndexError::Index(error) => Self::Broken(error.to_string()),
        }
    }
}

#[async_trait]
impl Recognizer for LocalRecognizer {
    fn admit(&self, bytes: usize) -> Result<Permit, Refusal> {
        self.pipeline.admit(bytes)
    }

    async fn recognize(
        &self,
        permit: &Permit,
        photo: Bytes,
        query: RecognitionQuery,
    ) -> Result<IdentifiedFaces, Refusal> {
        Ok(self.find(permit, photo, query).await?.into())
    }

    async fn find(&self, permit: &Permit, photo: Bytes, query: RecognitionQuery) -> Result<AnalysedPhoto, Refusal> {
        let Commit { image, faces, .. } = self.pipeline.analyse(permit, photo).await?;
        let gallery = query.gallery.unwrap_or_else(|| GalleryId(LIBRARY_GALLERY.to_owned()));
        let probes = faces.iter().map(|face| face.embedding.clone()).collect();
        let who = self.index.identify(&gallery, probes, query.keep).await?;
        Ok(AnalysedPhoto { image, faces, who })
    }

    async fn ready(&self) -> Result<(), String> {
        if let Some(exit) = &*self.pipeline.ended().borrow() {
            return Err(format!("recognition has ended: {exit}"));
        }
        let read = self.index.reads(&GalleryId(LIBRARY_GALLERY.to_owned())).await;
        read.map_err(|_| String::from("the library cannot be read"))
    }

    fn progress(&self) -> watch::Receiver<Progress> {
        self.pipeline.progress()
    }

    async fn ended(&self) -> Exit {
        let exit = self.pipeline.ended().wait_for(Option::is_some).await.ok().and_then(|exit| exit.clone());
        match exit {
            Some(exit) => exit,
            // The pipeline is being dropped.
            None => std::future::pending().await,
        }
    }

    fn close(&self) {
        self.pipeline.close();
    }

    async fn finished(&self) {}
}
