//! Measures how well a face suits recognition: single measures, one overall figure, and names of what is wrong.

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

/// The value at which each measure turns from good to bad, in the units of [`Quality`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Thresholds {
    /// Least shorter side of the box, in pixels of the full image.
    pub min_size: f32,
    /// Least sharpness, 0 to 1, by `sharpness::measure`.
    pub min_sharpness: f32,
    /// Least mean luma, 0 to 1.
    pub min_level: f32,
    /// Largest mean luma, 0 to 1.
    pub max_level: f32,
    /// Largest overexposed share of the face, 0 to 1; above it the face counts as too bright.
    pub max_clipped: f32,
    /// Least standard deviation of luma, 0 to 0.5.
    pub min_contrast: f32,
    /// Largest difference in mean luma between the halves of the face, 0 to 1.
    pub max_unevenness: f32,
    /// Largest yaw to either side, in degrees.
    pub max_yaw: f32,
    /// Largest pitch up or down, in degrees.
    pub max_pitch: f32,
    /// Largest roll to either side, in degrees. Alignment undoes roll, so it only affects faces that lie on their side.
    pub max_roll: f32,
    /// Largest likelihood of occlusion, 0 to 1.
    pub max_occlusion: f32,
    /// Least detector score, 0 to 1.
    pub min_score: f32,
    /// Least length of the raw embedding. Its scale depends on the model, so it is 0 (not judged) unless a pack sets
    /// it.
    pub min_norm: f32,
}

impl Default for Thresholds {
    /// Returns the values that were found on clean and degraded faces (docs/quality.md).
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

/// Rates a value that should be high: 0 at half the threshold, 0.5 at it, 1 at one and a half times it, with straight
/// lines between.
fn above(value: f32, threshold: f32) -> f32 {
    if threshold <= 0.0 { 1.0 } else { ramp(value / threshold, 0.5, 1.5) }
}

/// Rates a value that should be low: 1 at half the threshold, 0.5 at it, 0 at one and a half times it.
fn below(value: f32, threshold: f32) -> f32 {
    if threshold <= 0.0 { 1.0 } else { 1.0 - ramp(value / threshold, 0.5, 1.5) }
}

fn ramp(value: f32, none: f32, full: f32) -> f32 {
    // NaN counts as the worst value.
    let part = (value - none) / (full - none);
    if part.is_nan() { 0.0 } else { part.clamp(0.0, 1.0) }
}

/// Measures the quality of one face.
///
/// `crop` is the aligned face of 112 × 112 pixels. `bbox` and `landmarks` are in pixels of the full upright image.
/// `score` is the detector's, 0 to 1. `norm` is the length of the raw embedding, which Meng et al., "MagFace", CVPR
/// 2021, take as a measure of quality.
///
/// `overall` is the product of one factor for each measure, which is 1 for a good value, 0.5 at the threshold and 0 for
/// a useless value. So a face that is bad in one way is bad, and one that is doubtful in two ways is worse than in one.
/// Whether the detection is a face at all is not included: that needs the models, and [`Quality::with_face`] adds it.
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
    // Landmarks that have no pose count as the worst pose.
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
