//! An image on its way through the pipeline, with its lease and its credit.

use std::sync::Arc;

use actix::Message;
use tokio::time::Instant;

use crate::domain::face::{Face, FaceId};
use crate::domain::image::{Frame, ImageId, ImageRecord, ImageState, Locator, Rejection};
use crate::domain::timings::Timings;
use crate::domain::version::{ObjectVersion, Sequencer};
use crate::flow::credit::Credit;
use crate::flow::lease::Lease;
use crate::ports::analyses::{CachedAnalysis, Content};
use crate::ports::engine::FoundFace;
use crate::ports::faces::Commit;
use crate::ports::objects::Object;

/// An image to index. Dropping it gives the image back to the queue, and the credit back to the
/// pool.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Item {
    pub(crate) locator: Locator,
    /// Sequencer of the event that asked for the image.
    pub(crate) sequencer: Option<Sequencer>,
    /// Whether that event says that the image was deleted.
    pub(crate) removed: bool,
    pub(crate) lease: Lease,
    pub(crate) credit: Credit,
    /// Whether the image runs alone, because it was received too often without an end, or was on a
    /// device whose engine broke for good.
    pub(crate) suspect: bool,
    /// Number of receives, this one included.
    pub(crate) receive_count: u32,
    /// Number of earlier receives that had no end, because the worker died or lost the lease.
    pub(crate) deaths: u32,
    /// Quality of the thumbnail as the Prefilter judged it, 0 to 1.
    pub(crate) quality: Option<f32>,
    /// The whole image, where the Prefilter has read it all.
    pub(crate) fetched: Option<Object>,
    pub(crate) received: Instant,
    /// Times of the stages so far.
    pub(crate) timings: Timings,
}

/// Known properties of an image's bytes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Source {
    pub(crate) etag: String,
    pub(crate) bytes: u64,
    /// Time of the last change, as in [`ObjectVersion::modified_ms`].
    pub(crate) modified_ms: Option<i64>,
    /// BLAKE3 digest of the bytes, where they were read.
    pub(crate) content: Option<Content>,
}

impl From<&Object> for Source {
    fn from(object: &Object) -> Self {
        Self { etag: object.etag.clone(), bytes: object.size, modified_ms: object.modified_ms, content: None }
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

/// A result that waits to be written. After the write, the lease ends as the record's state says.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Finished {
    pub(crate) item: Item,
    pub(crate) commit: Commit,
}

impl Item {
    /// Builds the result that ends this image.
    fn finished(self, source: &Source, image: ImageRecord, faces: Vec<Face>) -> Finished {
        let timings = Timings { total: self.received.elapsed(), ..self.timings };
        let version = ObjectVersion { modified_ms: source.modified_ms, sequencer: self.sequencer.clone() };
        Finished { item: self, commit: Commit { image, faces, content: source.content, version, timings } }
    }

    /// Builds a record of this image without faces.
    fn record(&self, source: &Source, state: ImageState, model: &str) -> ImageRecord {
        ImageRecord {
            id: self.locator.id(),
            locator: self.locator.clone(),
            etag: source.etag.clone(),
            bytes: source.bytes,
            width: 0,
            height: 0,
            orientation: 1,
            taken: None,
            picture: None,
            state,
            rejection: None,
            quality: self.quality,
            face_count: 0,
            model: model.to_owned(),
        }
    }

    /// Ends the image as rejected.
    pub(crate) fn rejected(self, source: &Source, rejection: Rejection, model: &str) -> Finished {
        let mut image = self.record(source, ImageState::Rejected, model);
        image.rejection = Some(rejection);
        self.finished(source, image, Vec::new())
    }

    /// Ends the image with the cached analysis of an image that has the same bytes.
    pub(crate) fn known(self, source: &Source, known: CachedAnalysis, model: &str) -> Finished {
        let id = self.locator.id();
        let CachedAnalysis { width, height, orientation, taken, picture, faces } = known;
        let faces: Vec<Face> = faces.into_iter().map(|found| face(id, model, found)).collect();
        let image = ImageRecord { width, height, orientation, taken, picture, ..self.analysed(source, &faces, model) };
        self.finished(source, image, faces)
    }

    /// Builds the record of this image with its faces: indexed, or without faces if there are none.
    fn analysed(&self, source: &Source, faces: &[Face], model: &str) -> ImageRecord {
        let state = if faces.is_empty() { ImageState::NoFaces } else { ImageState::Indexed };
        let face_count = u32::try_from(faces.len()).unwrap_or(u32::MAX);
        ImageRecord { face_count, ..self.record(source, state, model) }
    }

    /// Ends the image as one of too low quality.
    pub(crate) fn low_quality(self, source: &Source, model: &str) -> Finished {
        let image = self.record(source, ImageState::LowQuality, model);
        self.finished(source, image, Vec::new())
    }
}

impl Decoded {
    /// Ends the image with the faces that a device found.
    pub(crate) fn analysed(self, found: Vec<FoundFace>, model: &str) -> Finished {
        let id = self.item.locator.id();
        let faces: Vec<Face> = found.into_iter().map(|found| face(id, model, found)).collect();
        let image = self.framed(self.item.analysed(&self.source, &faces, model));
        self.item.finished(&self.source, image, faces)
    }

    /// Adds the size, orientation, time and picture hash of the decoded frame to a record.
    fn framed(&self, record: ImageRecord) -> ImageRecord {
        let Frame { width, height, orientation, taken, picture, .. } = *self.frame;
        ImageRecord { width, height, orientation, taken, picture, ..record }
    }

    /// Ends the image as rejected after it was decoded.
    pub(crate) fn rejected(self, rejection: Rejection, model: &str) -> Finished {
        let record = self.item.record(&self.source, ImageState::Rejected, model);
        let image = self.framed(ImageRecord { rejection: Some(rejection), ..record });
        self.item.finished(&self.source, image, Vec::new())
    }
}

/// Builds a face to store from one that a device found.
pub(crate) fn face(image: ImageId, model: &str, found: FoundFace) -> Face {
    let FoundFace { bbox, landmarks, quality, embedding, thumbnail } = found;
    Face { id: FaceId::new(image, model, &bbox), image, bbox, landmarks, quality, embedding, thumbnail }
}

impl Finished {
    /// Returns the bytes of memory that this result keeps until it is written.
    pub(crate) fn bytes(&self) -> usize {
        let face = |face: &Face| size_of::<Face>() + face.embedding.len() * size_of::<f32>() + face.thumbnail.len();
        size_of::<ImageRecord>() + self.commit.faces.iter().map(face).sum::<usize>()
    }
}
