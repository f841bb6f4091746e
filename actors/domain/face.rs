//! A face: where it is in its image, how good it is, and its embedding.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::domain::image::{ImageId, digest, hex_id};

hex_id! {
    /// Deterministic id of a face; see [`FaceId::new`].
    FaceId
}

impl FaceId {
    /// From image, model and position (the box rounded to whole pixels of the full upright image).
    pub fn new(image: ImageId, model: &str, bbox: &BBox) -> Self {
        let position = [bbox.x, bbox.y, bbox.width, bbox.height].map(|v| (v.round() as i32).to_le_bytes());
        Self(digest("face", &[&image.0, model.as_bytes(), position.as_flattened()]))
    }
}

/// A box in pixels of the full upright image. May reach past its edges.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BBox {
    /// Left edge.
    pub x: f32,
    /// Top edge.
    pub y: f32,
    /// Width.
    pub width: f32,
    /// Height.
    pub height: f32,
}

impl BBox {
    /// The area that it shares with another box.
    pub fn shared(&self, other: &Self) -> f32 {
        let width = (self.x + self.width).min(other.x + other.width) - self.x.max(other.x);
        let height = (self.y + self.height).min(other.y + other.height) - self.y.max(other.y);
        width.max(0.0) * height.max(0.0)
    }

    /// Intersection over union with another box, 0 to 1.
    pub fn overlap(&self, other: &Self) -> f32 {
        let both = self.shared(other);
        let union = self.width * self.height + other.width * other.height - both;
        if union > 0.0 { both / union } else { 0.0 }
    }

    /// Whether two boxes are one place in an image: a face that was forgotten is not stored there again.
    pub fn is_place_of(&self, other: &Self) -> bool {
        self.overlap(other) > SAME_PLACE
    }
}

/// Boxes that overlap by more than this are of one face: two detections of it overlap by more, two faces by less.
const SAME_PLACE: f32 = 0.5;

/// Five points in pixels of the full upright image: the eye on the image's left, the eye on its
/// right, nose tip, mouth corner on the left, mouth corner on the right.
pub type Landmarks = [[f32; 2]; 5];

/// Why a face is of low quality. Several may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum QualityReason {
    /// The shorter side of the box is under the limit.
    TooSmall,
    /// The aligned crop has too little fine detail.
    Blurred,
    /// The crop is too dark.
    TooDark,
    /// The crop is too bright.
    TooBright,
    /// The crop has too little contrast.
    LowContrast,
    /// One half of the face is much brighter than the other.
    UnevenLight,
    /// Turned too far away (yaw, pitch or roll).
    ExtremePose,
    /// Eyes or mouth look covered.
    Occluded,
    /// The detector is unsure that it is a face.
    LowScore,
    /// The embedder is unsure (short raw embedding).
    LowNorm,
}

/// How good a face is for recognition. Units and sources are documented where they are computed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Quality {
    /// Fine detail of the aligned crop; higher is sharper.
    pub sharpness: f32,
    /// Mean luma of the aligned face, 0 to 1.
    pub level: f32,
    /// Standard deviation of luma, 0 to 0.5.
    pub contrast: f32,
    /// Difference of mean luma between the halves of the face, 0 to 1.
    pub unevenness: f32,
    /// Degrees; 0 looks at the camera, positive turns to the image's right.
    pub yaw: f32,
    /// Degrees; positive looks up.
    pub pitch: f32,
    /// Degrees; positive is clockwise in the image.
    pub roll: f32,
    /// 0 (open) to 1 (covered): likelihood that eyes or mouth are covered.
    pub occlusion: f32,
    /// Shorter side of the box in pixels of the full image.
    pub size: f32,
    /// Detector score, 0 to 1.
    pub score: f32,
    /// Length of the raw embedding.
    pub norm: f32,
    /// All of the above in one figure, 0 (useless) to 1.
    pub overall: f32,
    /// What is wrong, ascending; empty for a good face.
    pub reasons: Vec<QualityReason>,
}

/// A face as stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Face {
    /// See [`FaceId::new`].
    pub id: FaceId,
    /// The image it is in.
    pub image: ImageId,
    /// Where.
    pub bbox: BBox,
    /// Its five points.
    pub landmarks: Landmarks,
    /// How good.
    pub quality: Quality,
    /// Unit length.
    pub embedding: Vec<f32>,
    /// A square JPEG of the face for people to look at.
    pub thumbnail: Vec<u8>,
}

impl Face {
    /// Whether every figure of it is finite: what is not cannot be stored and read back.
    pub fn is_finite(&self) -> bool {
        let q = &self.quality;
        let bbox = [self.bbox.x, self.bbox.y, self.bbox.width, self.bbox.height];
        let figures = [q.sharpness, q.level, q.contrast, q.unevenness, q.yaw, q.pitch, q.roll, q.occlusion];
        let more = [q.size, q.score, q.norm, q.overall];
        let mut all =
            [&bbox[..], self.landmarks.as_flattened(), &figures, &more, &self.embedding].into_iter().flatten();
        all.all(|figure| figure.is_finite())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlap_is_intersection_over_union() {
        let of = |x, width| BBox { x, y: 0.0, width, height: 10.0 };
        for (a, b, want) in [
            (of(0.0, 10.0), of(0.0, 10.0), 1.0),
            (of(0.0, 10.0), of(5.0, 10.0), 1.0 / 3.0),
            (of(0.0, 10.0), of(10.0, 10.0), 0.0),
            (of(0.0, 0.0), of(0.0, 0.0), 0.0),
        ] {
            assert!((a.overlap(&b) - want).abs() < 1e-6, "{a:?} {b:?}");
        }
    }
}
