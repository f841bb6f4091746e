//! From bytes to pixels. Pure and blocking: called on a thread that may block.

use bytes::Bytes;

use crate::domain::image::{Frame, Rejection};

/// The reason why an image has no pixels.
#[derive(Clone, Debug, thiserror::Error)]
pub enum DecodeError {
    /// The image is at fault.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// The decoder failed before it could judge the image.
    #[error("decoder: {0}")]
    Failed(String),
}

/// Decodes images as far as the detector needs.
pub trait Decoder: Send + Sync {
    /// Decodes an image to upright pixels at the smallest scale that covers the detector's input. Dimensions are
    /// checked before any pixel is allocated.
    ///
    /// # Errors
    /// [`DecodeError::Rejected`] when the image is broken, unsupported or too large; [`DecodeError::Failed`] when
    /// decoding failed through no fault of the image.
    fn decode(&self, source: Bytes) -> Result<Frame, DecodeError>;
    /// Judges the thumbnail in an image's header: quality from 0 to 1, or `None` where there is none to judge.
    fn judge_header(&self, head: &[u8]) -> Option<f32>;
    /// Judges a thumbnail that is an image of its own: quality from 0 to 1, or `None` where it cannot be judged.
    fn judge_thumbnail(&self, thumbnail: &[u8]) -> Option<f32>;
}
