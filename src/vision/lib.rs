//! Turns the bytes of an image into aligned, scored faces: it decodes pixels, prepares a detector's input, decodes its
//! heads, and aligns and measures faces. The crate runs no model, which `muster-inference` does between these steps,
//! and touches no file or network. Its functions are pure, except [`isolated`], which decodes in a child process.
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

/// A face as a detector's head describes it, in pixels of the image that the detector was given.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Detection {
    /// Box of the face.
    pub bbox: BBox,
    /// Five points: eyes, nose, corners of the mouth.
    pub landmarks: Landmarks,
    /// Score of the detector, 0 to 1.
    pub score: f32,
}

impl Detection {
    /// Returns the same face in an image that is `factor` times as large.
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
