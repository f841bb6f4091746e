//! From bytes to pixels. Pure and blocking: called on a thread that may block.

use bytes::Bytes;

use crate::domain::image::{Frame, Rejection};

/// Why there are no pixels.
#[derive(Clone, Debug, thiserror::Error)]
pub enum DecodeError {
    /// The image is at fault.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// It was not tried.
    #[error("decoder: {0}")]
    Failed(String),
}

/// Decodes images as far as the detector needs.
pub trait Decoder: Send + Sync {
    /// Upright pixels at the smallest scale that covers the detector's input. Dimensions are checked
    /// before any pixel is allocated.
    fn decode(&self, source: Bytes) -> Result<Frame, DecodeError>;
    /// Quality, 0 to 1, of the thumbnail in an image's header; `None` where there is none to judge.
    fn judge_header(&self, head: &[u8]) -> Option<f32>;
    /// Quality, 0 to 1, of a thumbnail that is an image of its own; `None` where it cannot be judged.
    fn judge_thumbnail(&self, thumbnail: &[u8]) -> Option<f32>;
}
