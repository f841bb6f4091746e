//! How good a face is for recognition: each measure by itself, one figure, and what is wrong by name.

pub mod light;
pub mod occlusion;
mod occlusion_weights;
pub mod pose;
pub mod sharpness;

use muster_actors::domain::face::{BBox, Landmarks, Quality, QualityReason};
use muster_actors::domain::image::Pixels;
use serde::{Deserialize, Serialize};

use super::luma::Luma;
use pose::Pose;

/// Where each measure turns from good to bad. The measures' units are those of [`Quality`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Thresholds {
    /// Shorter side of the box in pixels of the full image.
    pub min_size: f32,
    /// 0 to 1, of `sharpness::measure`.
    pub min_sharpness: f32,
    /// Mean luma, 0 to 1.
    pub min_level: f32,
    /// Mean luma, 0 to 1.
    pub max_level: f32,
    /// Part of the face at the top of the range, 0 to 1; above it the face counts as too bright.
    pub max_clipped: f32,
    /// Standard deviation of luma, 0 to 0.5.
    pub min_contrast: f32,
    /// Difference between the halves of the face, 0 to 1.
    pub max_unevenness: f32,
    /// Degrees to either side.
    pub max_yaw: f32,
    /// Degrees up or down.
    pub max_pitch: f32,
    /// Degrees to either side. Alignment undoes roll, so only a face that lies is affected.
    pub max_roll: f32,
    /// Likelihood, 0 to 1.
    pub max_occlusion: f32,
    /// Detector score, 0 to 1.
    pub min_score: f32,
    /// Length of the raw embedding; its scale is the model's, so 0 (not judged) unless a pack says otherwise.
    pub min_norm: f32,
}

impl Default for Thresholds {
    /// Found on clean and degraded faces: docs/quality.md.
    fn default() -> Self {
        Self {
            min_size: 32.0,
            min_sharpness: 0.20,
            min_level: 0.16,
            max_level: 0.85,
            max_clipped: 0.25,
            min_contrast: 0.05,
            max_unevenness: 0.30,
            max_yaw: 50.0,
            max_pitch: 40.0,
            max_roll: 60.0,
            max_occlusion: 0.80,
            min_score: 0.60,
            min_norm: 0.0,
        }
    }
}

/// 0 well below the threshold, 0.5 at it, 1 well above; in a straight line between half and one and a half times it.
fn above(value: f32, threshold: f32) -> f32 {
    if threshold <= 0.0 { 1.0 } else { ramp(value / threshold, 0.5, 1.5) }
}

/// 1 well below the threshold, 0.5 at it, 0 well above.
fn below(value: f32, threshold: f32) -> f32 {
    if threshold <= 0.0 { 1.0 } else { 1.0 - ramp(value / threshold, 0.5, 1.5) }
}

fn ramp(value: f32, none: f32, full: f32) -> f32 {
    // A NaN is the worst value.
    let part = (value - none) / (full - none);
    if part.is_nan() { 0.0 } else { part.clamp(0.0, 1.0) }
}

/// Measures one face.
///
/// `crop` is the aligned 112 × 112 face; `bbox` and `landmarks` are in pixels of the full upright image; `score` is the
/// detector's, 0 to 1; `norm` is the length of the raw embedding (Meng et al., "MagFace", CVPR 2021, read it as
/// quality).
///
/// `overall` is the product of one factor a measure, each 1 for a good value, 0.5 at its threshold
/// and 0 for a useless one; so a face that is bad in one way is bad, and one that is doubtful in
/// two ways is worse than in one. Whether it is a face at all is no part of it: that takes the
/// models, and [`Quality::with_face`] adds it.
pub fn assess(
    crop: &Pixels,
    bbox: &BBox,
    landmarks: &Landmarks,
    score: f32,
    norm: f32,
    thresholds: &Thresholds,
) -> Quality {
    let luma = Luma::from_pixels(crop);
    let light = light::measure(&luma);
    let sharpness = sharpness::measure(&luma);
    // Landmarks without a pose are as bad as the worst pose.
    let pose = pose::estimate(landmarks).unwrap_or(Pose { yaw: 180.0, pitch: 90.0, roll: 180.0 });
    let occlusion = occlusion::estimate(&luma);
    let size = bbox.width.min(bbox.height);
    let t = thresholds;
    let angle = below(pose.yaw.abs(), t.max_yaw)
        .min(below(pose.pitch.abs(), t.max_pitch))
        .min(below(pose.roll.abs(), t.max_roll));
    let bright = above(1.0 - light.level, 1.0 - t.max_level);
    let factors = [
        (QualityReason::TooSmall, above(size, t.min_size)),
        (QualityReason::Blurred, above(sharpness, t.min_sharpness)),
        (QualityReason::TooDark, above(light.level, t.min_level)),
        (QualityReason::TooBright, bright.min(below(light.clipped, t.max_clipped))),
        (QualityReason::LowContrast, above(light.contrast, t.min_contrast)),
        (QualityReason::UnevenLight, below(light.unevenness, t.max_unevenness)),
        (QualityReason::ExtremePose, angle),
        (QualityReason::Occluded, 1.0 - ramp(occlusion, 2.0 * t.max_occlusion - 1.0, 1.0)),
        (QualityReason::LowScore, ramp(score, t.min_score - 0.2, t.min_score + 0.2)),
        (QualityReason::LowNorm, above(norm, t.min_norm)),
    ];
    let mut reasons: Vec<QualityReason> = factors.iter().filter(|f| f.1 < 0.5).map(|f| f.0).collect();
    reasons.sort();
    Quality {
        sharpness,
        level: light.level,
        contrast: light.contrast,
        unevenness: light.unevenness,
        yaw: pose.yaw,
        pitch: pose.pitch,
        roll: pose.roll,
        occlusion,
        size,
        score,
        norm,
        overall: factors.iter().map(|f| f.1).product(),
        reasons,
        face: 1.0,
    }
}
