//! The cover of a group and the mean of its faces.

use crate::domain::face::FaceId;
use crate::grouping::dot::dot;

/// A face of a group: its id, its unit vector, and its quality (0 to 1).
pub type Member<'a> = (FaceId, &'a [f32], f32);

/// Computes the cover and the centroid of a group whose members ascend by id; `None` for a group without faces. The
/// cover is the face whose quality times similarity to the centroid is highest; ties go to the smaller id. The centroid
/// is the quality-weighted mean, scaled to unit length.
pub fn picture(members: &[Member<'_>]) -> Option<(FaceId, Vec<f32>)> {
    let mut sum = vec![0.0_f64; members.first()?.1.len()];
    for (_, vector, quality) in members {
        let weight = f64::from(quality.clamp(0.05, 1.0));
        sum.iter_mut().zip(*vector).for_each(|(s, v)| *s += weight * f64::from(*v));
    }
    let length = sum.iter().map(|s| s * s).sum::<f64>().sqrt().max(f64::MIN_POSITIVE);
    let centroid: Vec<f32> = sum.iter().map(|s| (s / length) as f32).collect();
    let mut cover: Option<(f32, FaceId)> = None;
    for (face, vector, quality) in members {
        let score = dot(vector, &centroid) * quality.clamp(0.05, 1.0);
        if cover.is_none_or(|(best, _)| score > best) {
            cover = Some((score, *face));
        }
    }
    Some((cover?.1, centroid))
}
