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
    /// A second look takes it for an object: its probability of being a face is below [`LEAST_FACE`].
    NotAFace,
}

/// Least probability of being a face with which a detection counts as one.
pub const LEAST_FACE: f32 = 0.5;

/// How good a face is for recognition. Units and sources are documented where they are computed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
    /// Probability of being a face, 0 to 1; 1 for a detection that nobody looked at again.
    #[serde(default = "certain")]
    pub face: f32,
}

/// The probability of a face that nobody looked at again.
fn certain() -> f32 {
    1.0
}

impl Default for Quality {
    /// Nothing is measured, and nothing speaks against its being a face.
    fn default() -> Self {
        Self {
            sharpness: 0.0,
            level: 0.0,
            contrast: 0.0,
            unevenness: 0.0,
            yaw: 0.0,
            pitch: 0.0,
            roll: 0.0,
            occlusion: 0.0,
            size: 0.0,
            score: 0.0,
            norm: 0.0,
            overall: 0.0,
            reasons: Vec::new(),
            face: certain(),
        }
    }
}

impl Quality {
    /// The same measures with a probability of being a face, and [`QualityReason::NotAFace`] where it is too low.
    pub fn with_face(mut self, probability: f32) -> Self {
        self.face = probability;
        self.reasons.retain(|reason| *reason != QualityReason::NotAFace);
        if !self.is_face() {
            // The last of all reasons, so that they stay ascending.
            self.reasons.push(QualityReason::NotAFace);
        }
        self
    }

    /// Whether the models take it for a face.
    pub fn is_face(&self) -> bool {
        self.face >= LEAST_FACE
    }
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
        let more = [q.size, q.score, q.norm, q.overall, q.face];
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

    #[test]
    fn a_low_probability_is_a_reason_and_the_last_of_them() {
        let blurred = Quality { reasons: vec![QualityReason::Blurred], ..Quality::default() };
        for (probability, reasons) in [
            (1.0, vec![QualityReason::Blurred]),
            (0.5, vec![QualityReason::Blurred]),
            (0.499, vec![QualityReason::Blurred, QualityReason::NotAFace]),
            (f32::NAN, vec![QualityReason::Blurred, QualityReason::NotAFace]),
        ] {
            let judged = blurred.clone().with_face(probability);
            assert_eq!(judged.reasons, reasons, "{probability}");
            assert_eq!(judged.clone().with_face(0.1).with_face(1.0).reasons, [QualityReason::Blurred]);
        }
    }

    #[test]
    fn a_face_of_before_the_second_look_is_one() {
        let mut old = serde_json::to_value(Quality::default()).unwrap();
        assert!(old.as_object_mut().unwrap().remove("face").is_some());
        assert_eq!(serde_json::from_value::<Quality>(old).unwrap(), Quality::default());
        assert_eq!(serde_json::to_value(QualityReason::NotAFace).unwrap(), "NOT_A_FACE");
    }
}
