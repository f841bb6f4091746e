//! PhotoPrism's face recognition: DBSCAN forms clusters, then every face goes to the cluster with
//! the nearest mean.
//!
//! It follows `internal/photoprism/faces_cluster.go` and `faces_match.go`,
//! `internal/ai/face/thresholds.go` and `embeddings.go` and `internal/entity/face.go` of
//! <https://github.com/photoprism/photoprism>, as they were for the model FaceNet (2022 to 2025).
//! Here all faces are there from the start and may form clusters, while PhotoPrism leaves small and
//! weak ones out. Its rules for children and for named people are not included.

use super::dbscan::clusters;
use super::{Peer, Similarities, gather};
use crate::Groups;

/// Margin that the radius adds to the distance of the farthest member.
const RADIUS_MARGIN: f32 = 0.01;
/// Largest radius of a cluster ("limit sample radius to reduce false positives").
const MAX_RADIUS: f32 = 0.35;

/// PhotoPrism's settings. Distances are Euclidean.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PhotoPrism {
    /// Distance below which two faces are near (`ClusterDist`).
    pub cluster_distance: f32,
    /// Number of near faces, itself included, from which a face forms a cluster (`ClusterCore`).
    pub core: usize,
    /// Distance beyond the radius of a cluster up to which a face matches it (`MatchDist`).
    pub match_distance: f32,
}

/// The mean of a cluster's vectors.
struct Centroid {
    members: Vec<usize>,
    /// Square of the length of the mean.
    square: f32,
    radius: f32,
}

impl Centroid {
    fn of(members: Vec<usize>, similarities: &Similarities) -> Self {
        let products = members.iter().map(|face| mean(similarities.row(*face), &members));
        let square = products.sum::<f32>() / members.len() as f32;
        let mut middle = Self { members, square, radius: 0.0 };
        for face in &middle.members {
            let distance = middle.distance(*face, similarities);
            if distance > middle.radius {
                middle.radius = distance + RADIUS_MARGIN;
            }
        }
        middle.radius = middle.radius.min(MAX_RADIUS);
        middle
    }

    /// Returns the Euclidean distance of a face from the mean.
    fn distance(&self, face: usize, similarities: &Similarities) -> f32 {
        (1.0 - 2.0 * mean(similarities.row(face), &self.members) + self.square).max(0.0).sqrt()
    }
}

fn mean(row: &[f32], members: &[usize]) -> f32 {
    members.iter().map(|member| row[*member]).sum::<f32>() / members.len() as f32
}

impl Peer for PhotoPrism {
    const NAME: &'static str = "PhotoPrism";

    /// Returns PhotoPrism's defaults for its own model: 0.64, 4 faces, 0.46.
    fn defaults(_: f32) -> Self {
        Self { cluster_distance: 0.64, core: 4, match_distance: 0.46 }
    }

    fn grid() -> Vec<Self> {
        let mut grid = Vec::new();
        for cluster_distance in [0.64, 0.80, 0.88, 0.96, 1.04, 1.10, 1.16] {
            for core in [2, 3, 4] {
                grid.extend([0.46, 0.55, 0.64, 0.73].map(|match_distance| Self {
                    cluster_distance,
                    core,
                    match_distance,
                }));
            }
        }
        grid
    }

    fn setting(&self) -> String {
        format!("distance {:.2}, core {}, match {:.2}", self.cluster_distance, self.core, self.match_distance)
    }

    fn group(&self, similarities: &Similarities) -> Groups {
        if similarities.len() < 2 * self.core {
            return Groups::new();
        }
        let least = 1.0 - self.cluster_distance * self.cluster_distance / 2.0;
        let members = gather(clusters(similarities, least, self.core));
        let middles: Vec<Centroid> = members.into_iter().map(|members| Centroid::of(members, similarities)).collect();
        gather((0..similarities.len()).map(|face| {
            let distances = middles.iter().enumerate().map(|(n, middle)| (middle.distance(face, similarities), n));
            let near = distances.filter(|(distance, n)| *distance <= middles[*n].radius + self.match_distance);
            near.min_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, n)| n)
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::circle;
    use super::*;

    /// On the circle, 36.9° are 0.63 apart, and 26.6° are 0.46.
    #[test]
    fn a_face_that_forms_no_cluster_goes_to_the_middle_that_is_near() {
        let prism = PhotoPrism::defaults(0.5);
        let crowd = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0];
        let with = |more: [f32; 2]| circle(&[&crowd[..], &more].concat());
        // The middle is at 2.5°, its radius (2.5° and the margin) is 0.054: faces within 29.8°
        // match.
        let far = PhotoPrism { cluster_distance: 0.1, ..prism };
        assert_eq!(far.group(&with([31.0, 200.0])), [[0, 1, 2, 3, 4, 5, 6]]);
        assert_eq!(far.group(&with([33.0, 200.0])), [[0, 1, 2, 3, 4, 5]]);
        // Within 0.64 it is in the cluster, and moves its middle.
        assert_eq!(prism.group(&with([33.0, 200.0])), [[0, 1, 2, 3, 4, 5, 6]]);
    }

    #[test]
    fn fewer_faces_than_twice_the_core_start_nothing() {
        assert!(PhotoPrism::defaults(0.5).group(&circle(&[0.0; 7])).is_empty());
        assert_eq!(PhotoPrism::defaults(0.5).group(&circle(&[0.0; 8])).len(), 1);
    }
}
