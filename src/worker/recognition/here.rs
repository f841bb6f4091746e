//! Recognition in this process: the pipeline and the people of a library.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use muster_actors::domain::exit::Exit;
use muster_actors::domain::gallery::GalleryId;
use muster_actors::flow::progress::Progress;
use muster_actors::ports::faces::Commit;
use muster_gallery::LIBRARY_GALLERY;
use tokio::sync::watch;

use super::analyst::Analyst;
use super::crowd::Crowd;
use super::error::CrowdError;
use super::recognizer::{Recognizer, Refusal};
use super::room::Place;
use super::seen::{Ask, Found, Seen};

/// Recognition in this process.
pub struct Here {
    /// Finds faces.
    pub analyst: Analyst,
    /// Knows whose they are.
    pub crowd: Arc<Crowd>,
}

impl From<CrowdError> for Refusal {
    fn from(error: CrowdError) -> Self {
        match error {
            CrowdError::NoGallery(gallery) => Self::NoGallery(gallery),
            CrowdError::Store(error) => Self::Broken(error.to_string()),
            CrowdError::Index(error) => Self::Broken(error.to_string()),
        }
    }
}

#[async_trait]
impl Recognizer for Here {
    fn place(&self, bytes: usize) -> Result<Place, Refusal> {
        self.analyst.place(bytes)
    }

    async fn recognize(&self, place: &Place, photo: Bytes, ask: Ask) -> Result<Seen, Refusal> {
        Ok(self.find(place, photo, ask).await?.into())
    }

    async fn find(&self, place: &Place, photo: Bytes, ask: Ask) -> Result<Found, Refusal> {
        let Commit { image, faces, .. } = self.analyst.analyse(place, photo).await?;
        let gallery = ask.gallery.unwrap_or_else(|| GalleryId(LIBRARY_GALLERY.to_owned()));
        let probes = faces.iter().map(|face| face.embedding.clone()).collect();
        let who = self.crowd.identify(&gallery, probes, ask.keep).await?;
        Ok(Found { image, faces, who })
    }

    async fn ready(&self) -> Result<(), String> {
        if let Some(exit) = &*self.analyst.ended().borrow() {
            return Err(format!("recognition has ended: {exit}"));
        }
        let read = self.crowd.reads(&GalleryId(LIBRARY_GALLERY.to_owned())).await;
        read.map_err(|_| String::from("the library cannot be read"))
    }

    fn progress(&self) -> watch::Receiver<Progress> {
        self.analyst.progress()
    }

    async fn ended(&self) -> Exit {
        let exit = self.analyst.ended().wait_for(Option::is_some).await.ok().and_then(|exit| exit.clone());
        match exit {
            Some(exit) => exit,
            // It is being dropped.
            None => std::future::pending().await,
        }
    }

    fn close(&self) {
        self.analyst.close();
    }

    async fn finished(&self) {}
}
