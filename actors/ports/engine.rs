//! One device with its models: detects, aligns, scores and embeds a batch of frames.

use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::domain::exit::Remedy;
use crate::domain::face::{BBox, Landmarks, Quality};
use crate::domain::image::{Frame, Rejection};
use crate::errors::Class;
use crate::errors::class::Classified;

/// A face as a device found it: a [`crate::domain::face::Face`] without its ids.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FoundFace {
    /// Box in pixels of the full upright image.
    pub bbox: BBox,
    /// Five points in pixels of the full upright image.
    pub landmarks: Landmarks,
    /// Quality of the face.
    pub quality: Quality,
    /// Embedding of unit length.
    pub embedding: Vec<f32>,
    /// A square JPEG of the face.
    pub thumbnail: Vec<u8>,
}

/// Faces of one frame by descending detector score, or why this frame alone cannot be analysed.
pub type Analysis = Result<Vec<FoundFace>, Rejection>;

/// Errors of a whole batch.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// The device has too little memory for this batch.
    #[error("out of memory: {0}")]
    OutOfMemory(String),
    /// The thread that runs the model has ended.
    #[error("the model's thread is gone")]
    Gone,
    /// The device or runtime is in a state that only a rebuild repairs.
    #[error("engine: {0}")]
    Sticky(String),
    /// The device is lost; no rebuild repairs it.
    #[error("device lost: {0}")]
    DeviceLost(String),
    /// The model files or the runtime library are wrong.
    #[error("model: {0}")]
    Misconfigured(String),
}

impl Classified for EngineError {
    fn class(&self) -> Class {
        match self {
            Self::OutOfMemory(_) => Class::Overload,
            Self::Gone | Self::Sticky(_) => Class::Engine,
            Self::DeviceLost(_) => Class::HostFault,
            Self::Misconfigured(_) => Class::Misconfigured(Remedy::Model),
        }
    }
}

/// Share of their union, 0 to 1, that a drawn box and a detection have in common if they are of one face.
pub const LEAST_SHARED: f32 = 0.3;

/// One device with its models. An image has the same result in a batch as alone.
#[async_trait]
pub trait Engine: Send + Sync {
    /// Analyses a batch, and returns one [`Analysis`] for each frame, in order.
    ///
    /// # Errors
    /// Each [`EngineError`] concerns the whole batch: memory that ran out, an engine that must be rebuilt, a lost
    /// device, or wrong model files.
    async fn analyse(&self, frames: Vec<Arc<Frame>>) -> Result<Vec<Analysis>, EngineError>;
    /// Finds the face in a box that somebody drew, in pixels of the full upright image: the one whose box shares most
    /// with the drawn one, at least [`LEAST_SHARED`] of the union. Where the detector sees none, the points are
    /// those of an upright face that fills the box. `None` where the box can hold no face.
    ///
    /// An engine without a way of its own looks at the whole image.
    async fn face_in(&self, frame: Arc<Frame>, drawn: BBox) -> Result<Option<FoundFace>, EngineError> {
        let faces = self.analyse(vec![frame]).await?.into_iter().flatten().flatten();
        let here = faces.filter(|face| face.bbox.overlap(&drawn) >= LEAST_SHARED);
        Ok(here.max_by(|a, b| a.bbox.overlap(&drawn).total_cmp(&b.bbox.overlap(&drawn))))
    }
    /// Drops the models and loads them again.
    ///
    /// # Errors
    /// [`EngineError::DeviceLost`] or [`EngineError::Misconfigured`] when the models cannot be loaded; the other
    /// variants when the runtime fails.
    async fn rebuild(&self) -> Result<(), EngineError>;
    /// Returns the estimated number of images that the device's memory holds in one run, measured when the models were
    /// loaded; `None` where nothing limits it. Batches begin at this size and may grow.
    fn max_batch_size(&self) -> Option<usize> {
        None
    }
}
