//! From bytes to pixels to aligned, scored faces. Pure, except [`isolated`], which decodes in a child process.
//!
//! ```text
//! bytes ─ decode ─► Frame ─ letterbox ─► (detector) ─ detect ─► Detection
//!                     ├──── closer ────────────────────┼─ align ─► 112×112 crop ─► (embedder), quality, thumbnail
//!                     └────────────────────────────────┴─ second look ─► small views ─► (detector) ─► is it a face?
//! ```

pub mod align;
pub mod decode;
pub mod detect;
pub mod isolated;
pub mod letterbox;
pub mod picture_hash;
pub mod quality;
pub mod second_look;
pub mod thumbnail;

mod luma;

use muster_actors::domain::face::{BBox, Landmarks};

/// A face as a detector's head says it, in pixels of the image the detector was given.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Detection {
    /// Where.
    pub bbox: BBox,
    /// Its five points.
    pub landmarks: Landmarks,
    /// 0 to 1.
    pub score: f32,
}

impl Detection {
    /// The same face in an image `factor` times as large.
    pub fn scaled(&self, factor: f32) -> Self {
        let bbox = BBox {
            x: self.bbox.x * factor,
            y: self.bbox.y * factor,
            width: self.bbox.width * factor,
            height: self.bbox.height * factor,
        };
        Self { bbox, landmarks: self.landmarks.map(|[x, y]| [x * factor, y * factor]), score: self.score }
    }
}
