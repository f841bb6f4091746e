//! The cache of analyses by the content of the image, so that the same bytes need no device twice.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::domain::capture::{PictureHash, Taken};
use crate::domain::image::Frame;
use crate::ports::engine::FoundFace;

/// The BLAKE3 digest of an image's bytes.
pub type Content = [u8; 32];

/// The cached analysis of an image with some content.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CachedAnalysis {
    /// Full upright width in pixels.
    pub width: u32,
    /// Full upright height in pixels.
    pub height: u32,
    /// EXIF orientation, 1 to 8.
    pub orientation: u8,
    /// When the photo was taken, where the file says so.
    pub taken: Option<Taken>,
    /// Perceptual hash of the picture; `None` where it was not computed.
    pub picture: Option<PictureHash>,
    /// Faces by descending detector score.
    pub faces: Vec<FoundFace>,
}

impl CachedAnalysis {
    /// Builds the analysis of a frame from the faces that a device found.
    pub fn new(frame: &Frame, faces: &[FoundFace]) -> Self {
        let &Frame { width, height, orientation, taken, picture, .. } = frame;
        Self { width, height, orientation, taken, picture, faces: faces.to_vec() }
    }
}

/// A cache of analyses that may lose any of them at any time. An analysis comes back exactly as it was stored, or not
/// at all.
#[async_trait]
pub trait Analyses: Send + Sync {
    /// Finds the analysis of this content. A slow or broken cache answers `None` after a short time.
    async fn find(&self, content: &Content) -> Option<CachedAnalysis>;
    /// Stores an analysis where that is possible, without waiting.
    fn keep(&self, content: Content, known: CachedAnalysis);
}
