//! Computes the agreement of two packs from the faces that each found. Pure functions.

use muster_vision::Detection;

/// Overlap (intersection over union) from which two boxes are of one face.
const SAME: f32 = 0.5;
/// Distance to the least score within which a face may be found by only one detector for no other reason.
const CLOSE: f32 = 0.05;

/// Computes the mean of the values, and the value below which one in a hundred falls. Both are NaN where there are no
/// values.
pub(crate) fn mean_and_p1(mut values: Vec<f64>) -> (f64, f64) {
    values.sort_by(f64::total_cmp);
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    (mean, values.get(values.len() / 100).copied().unwrap_or(f64::NAN))
}

/// Computes the cosine of two vectors of unit length.
pub fn cosine(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}

/// Counts the faces of one photo that either detector found with a score clearly above `least`, and those that both
/// found.
pub fn agreement(source: &[Detection], product: &[Detection], least: f32) -> (usize, usize) {
    let clear = |face: &&Detection| face.score >= least + CLOSE;
    let found = |face: &Detection, others: &[Detection]| others.iter().any(|o| o.bbox.overlap(&face.bbox) >= SAME);
    let (mut either, mut both) = (0, 0);
    for face in source.iter().filter(clear) {
        either += 1;
        both += usize::from(found(face, product));
    }
    either += product.iter().filter(clear).filter(|face| !found(face, source)).count();
    (either, both)
}

#[cfg(test)]
mod tests {
    use muster_actors::domain::face::BBox;

    use super::*;

    #[test]
    fn the_mean_and_the_value_that_one_in_a_hundred_falls_below() {
        let values: Vec<f64> = (0..200).map(f64::from).collect();
        assert_eq!(mean_and_p1(values), (99.5, 2.0));
        assert_eq!(mean_and_p1(vec![0.5]), (0.5, 0.5));
        let (mean, p1) = mean_and_p1(Vec::new());
        assert!(mean.is_nan() && p1.is_nan());
    }

    #[test]
    fn detectors_agree_on_faces_that_both_find_and_a_face_at_the_threshold_does_not_count() {
        let face = |x: f32, score: f32| Detection {
            bbox: BBox { x, y: 0.0, width: 10.0, height: 10.0 },
            landmarks: [[0.0; 2]; 5],
            score,
        };
        for (source, product, expected) in [
            (vec![face(0.0, 0.9)], vec![face(1.0, 0.9)], (1, 1)),
            (vec![face(0.0, 0.9)], vec![face(50.0, 0.9)], (2, 0)),
            (vec![face(0.0, 0.9), face(50.0, 0.62)], vec![face(0.0, 0.9)], (1, 1)),
            // Found by one just above the threshold, and clearly by the other.
            (vec![face(0.0, 0.61)], vec![face(0.0, 0.7)], (0, 0)),
            (vec![face(0.0, 0.7)], vec![face(0.0, 0.61)], (1, 1)),
            (vec![], vec![], (0, 0)),
        ] {
            assert_eq!(agreement(&source, &product, 0.6), expected, "{source:?} {product:?}");
        }
    }
}
