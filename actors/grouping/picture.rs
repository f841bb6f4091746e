//! The face that shows a group, and the mean of its faces.

use crate::domain::face::FaceId;
use crate::grouping::dot::dot;

/// A face of a group: its unit vector and its quality, 0 to 1.
pub type Member<'a> = (FaceId, &'a [f32], f32);

/// The cover (the face whose quality times nearness to the centroid is highest; ties to the smaller id) and the
/// centroid (unit length, quality-weighted) of a group whose members ascend by id. `None` of no faces.
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
