//! How well two packs agree: figures from what each found. Pure.

use std::collections::{BTreeMap, HashMap};

use muster_actors::domain::face::FaceId;
use muster_actors::domain::gallery::FaceVector;
use muster_actors::domain::image::ImageId;
use muster_actors::grouping::Params;
use muster_actors::grouping::calibration::Calibration;
use muster_actors::grouping::cluster::Clustering;
use muster_actors::ports::index::IndexError;

use muster_index::FlatFactory;
use muster_vision::Detection;

/// Boxes that overlap by this much (intersection over union) are of one face.
const SAME: f32 = 0.5;
/// Faces that are this close to the least score may be found by one detector and not by the other for no other reason.
const CLOSE: f32 = 0.05;

/// Mean of the values, and the value that one in a hundred falls below. Both are NaN for no values.
pub(crate) fn mean_and_p1(mut values: Vec<f64>) -> (f64, f64) {
    values.sort_by(f64::total_cmp);
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    (mean, values.get(values.len() / 100).copied().unwrap_or(f64::NAN))
}

/// Cosine of two vectors of unit length.
pub fn cosine(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}

/// Faces of one photo that either detector found with a score clearly above `least`, and those of them that both found.
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

/// A face that is grouped with the others.
#[derive(Clone, Debug)]
pub(crate) struct Labelled {
    /// Which person, where somebody said so.
    pub person: Option<usize>,
    /// Which photo.
    pub photo: usize,
    /// Unit length.
    pub embedding: Vec<f32>,
    /// How good the face is, as grouping weighs it.
    pub quality: f32,
}

/// F of the pairs of named faces that are grouped together, against the pairs that are of one person. 1 where there is no pair. Faces that
/// nobody named are grouped too, as in a library: they may tie people together.
pub fn grouping(faces: &[Labelled], params: Params) -> Result<f64, IndexError> {
    let dimensions = faces.first().map_or(1, |face| face.embedding.len());
    let number = |value: usize| (value as u128 + 1).to_be_bytes();
    let vector = |(at, face): (usize, &Labelled)| FaceVector {
        id: FaceId(number(at)),
        image: ImageId(number(face.photo)),
        embedding: face.embedding.clone(),
        quality: face.quality,
        capture: Default::default(),
    };
    let vectors: Vec<_> = faces.iter().enumerate().map(vector).collect();
    let calibration = Calibration::learn(&params, dimensions, &vectors);
    let mut clustering = Clustering::new(params, calibration, &FlatFactory)?;
    clustering.insert(&vectors, &FlatFactory)?;
    let people: HashMap<FaceId, usize> =
        faces.iter().enumerate().filter_map(|(at, face)| Some((FaceId(number(at)), face.person?))).collect();
    let mut groups = clustering.partition();
    groups.iter_mut().for_each(|group| group.retain(|id| people.contains_key(id)));
    Ok(f_of_pairs(&groups, &people))
}

fn f_of_pairs(groups: &[Vec<FaceId>], people: &HashMap<FaceId, usize>) -> f64 {
    let pairs = |count: usize| count * count.saturating_sub(1) / 2;
    let counted = |ids: &mut dyn Iterator<Item = &FaceId>| {
        let mut counts: BTreeMap<usize, usize> = BTreeMap::new();
        ids.filter_map(|id| people.get(id)).for_each(|person| *counts.entry(*person).or_default() += 1);
        counts.values().map(|count| pairs(*count)).sum::<usize>()
    };
    let right: usize = groups.iter().map(|group| counted(&mut group.iter())).sum();
    let together: usize = groups.iter().map(|group| pairs(group.len())).sum();
    let of_one = counted(&mut people.keys());
    if together + of_one == 0 { 1.0 } else { 2.0 * right as f64 / (together + of_one) as f64 }
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

    #[test]
    fn f_is_one_where_groups_are_people_and_falls_with_every_pair_that_is_wrong() {
        let id = |n: u8| FaceId([n; 16]);
        let people: HashMap<FaceId, usize> = (0..6).map(|n| (id(n), usize::from(n / 3))).collect();
        let groups = |groups: &[&[u8]]| groups.iter().map(|g| g.iter().map(|n| id(*n)).collect()).collect::<Vec<_>>();
        assert_eq!(f_of_pairs(&groups(&[&[0, 1, 2], &[3, 4, 5]]), &people), 1.0);
        // Two of six pairs found, none wrong.
        assert_eq!(f_of_pairs(&groups(&[&[0, 1], &[3, 4]]), &people), 2.0 * 2.0 / (2.0 + 6.0));
        assert_eq!(f_of_pairs(&groups(&[&[0, 1, 2, 3, 4, 5]]), &people), 2.0 * 6.0 / (15.0 + 6.0));
        assert_eq!(f_of_pairs(&[], &HashMap::new()), 1.0);
    }
}
