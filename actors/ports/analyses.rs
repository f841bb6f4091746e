//! Analyses that were made before, by the content of the image: the same bytes need no device twice.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::domain::capture::{PictureHash, Taken};
use crate::domain::image::Frame;
use crate::ports::engine::FoundFace;

/// BLAKE3 of an image's bytes.
pub type Content = [u8; 32];

/// What is known of an image with that content.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CachedAnalysis {
    /// Full upright width in pixels.
    pub width: u32,
    /// Full upright height in pixels.
    pub height: u32,
    /// EXIF orientation, 1 to 8.
    pub orientation: u8,
    /// When it was taken, where the file says so.
    pub taken: Option<Taken>,
    /// What the picture looks like as a whole.
    pub picture: Option<PictureHash>,
    /// By descending detector score.
    pub faces: Vec<FoundFace>,
}

impl CachedAnalysis {
    /// What a device found in a frame.
    pub fn new(frame: &Frame, faces: &[FoundFace]) -> Self {
        let &Frame { width, height, orientation, taken, picture, .. } = frame;
        Self { width, height, orientation, taken, picture, faces: faces.to_vec() }
    }
}

/// A memory that may forget anything at any time, and may never invent: an analysis comes back as it was kept, or not at all.
#[async_trait]
pub trait Analyses: Send + Sync {
    /// The analysis of this content. Slow and broken memories answer `None`, and soon.
    async fn find(&self, content: &Content) -> Option<CachedAnalysis>;
    /// Keeps an analysis, if it can; does not wait.
    fn keep(&self, content: Content, known: CachedAnalysis);
}
