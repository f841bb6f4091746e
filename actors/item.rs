//! What travels through the pipeline: an image with its lease and its credit.

use std::sync::Arc;

use actix::Message;
use tokio::time::Instant;

use crate::credit::Credit;
use crate::face::Face;
use crate::image::{Frame, ImageRecord, ImageState, Locator, Rejection};
use crate::lease::Lease;
use crate::ports::faces::Commit;
use crate::ports::objects::Object;

/// An image to index. Dropping it gives the image back to the queue and the credit to the pool.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Item {
    pub(crate) locator: Locator,
    pub(crate) lease: Lease,
    pub(crate) credit: Credit,
    /// Received too often without an end: runs alone.
    pub(crate) suspect: bool,
    /// How often it was received, this time included.
    pub(crate) receive_count: u32,
    /// Trace header, where the sender set one.
    pub(crate) trace: Option<String>,
    /// What the prefilter said.
    pub(crate) quality: Option<f32>,
}

/// What is known of an image's bytes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Source {
    pub(crate) etag: String,
    pub(crate) bytes: u64,
}

impl From<&Object> for Source {
    fn from(object: &Object) -> Self {
        Self { etag: object.etag.clone(), bytes: object.size }
    }
}

/// A decoded image that waits for a device.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Decoded {
    pub(crate) item: Item,
    pub(crate) source: Source,
    pub(crate) frame: Arc<Frame>,
    pub(crate) since: Instant,
}

/// A result that waits to be written. When it is, the lease ends as the record's state says.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Finished {
    pub(crate) item: Item,
    pub(crate) commit: Commit,
}

impl Item {
    /// A record of this image without faces.
    fn record(&self, source: &Source, state: ImageState, model: &str) -> ImageRecord {
        ImageRecord {
            id: self.locator.id(),
            locator: self.locator.clone(),
            etag: source.etag.clone(),
            bytes: source.bytes,
            width: 0,
            height: 0,
            orientation: 1,
            state,
            rejection: None,
            quality: self.quality,
            face_count: 0,
            model: model.to_owned(),
        }
    }

    /// Ends as rejected.
    pub(crate) fn rejected(self, source: &Source, rejection: Rejection, model: &str) -> Finished {
        let mut image = self.record(source, ImageState::Rejected, model);
        image.rejection = Some(rejection);
        Finished { item: self, commit: Commit { image, faces: Vec::new() } }
    }

    /// Ends as too poor.
    pub(crate) fn low_quality(self, source: &Source, model: &str) -> Finished {
        let image = self.record(source, ImageState::LowQuality, model);
        Finished { item: self, commit: Commit { image, faces: Vec::new() } }
    }
}

impl Decoded {
    /// Ends with its faces, or as one in which none was found.
    pub(crate) fn analysed(self, faces: Vec<Face>, model: &str) -> Finished {
        let state = if faces.is_empty() { ImageState::NoFaces } else { ImageState::Indexed };
        let image = ImageRecord {
            width: self.frame.width,
            height: self.frame.height,
            orientation: self.frame.orientation,
            face_count: u32::try_from(faces.len()).unwrap_or(u32::MAX),
            ..self.item.record(&self.source, state, model)
        };
        Finished { item: self.item, commit: Commit { image, faces } }
    }

    /// Ends as rejected after it was decoded.
    pub(crate) fn rejected(self, rejection: Rejection, model: &str) -> Finished {
        let mut finished = self.item.rejected(&self.source, rejection, model);
        finished.commit.image.width = self.frame.width;
        finished.commit.image.height = self.frame.height;
        finished.commit.image.orientation = self.frame.orientation;
        finished
    }
}

impl Finished {
    /// Bytes this result keeps until it is written.
    pub(crate) fn bytes(&self) -> usize {
        let face = |face: &Face| size_of::<Face>() + face.embedding.len() * size_of::<f32>() + face.thumbnail.len();
        size_of::<ImageRecord>() + self.commit.faces.iter().map(face).sum::<usize>()
    }
}
