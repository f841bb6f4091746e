//! DBSCAN: faces with many others near them form clusters with all faces that they reach through
//! such faces.
//!
//! Ester, Kriegel, Sander & Xu, "A density-based algorithm for discovering clusters in large
//! spatial databases with noise", KDD 1996. A face between two clusters belongs to the one that was
//! found first.

use super::{Peer, Similarities, gather};
use crate::Groups;

/// DBSCAN's settings.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dbscan {
    /// Largest cosine distance at which two faces are near (Eps).
    pub distance: f32,
    /// Number of near faces, itself included, from which a face is a core face (MinPts).
    pub min_faces: usize,
}

impl Peer for Dbscan {
    const NAME: &'static str = "DBSCAN";

    /// Returns the model's threshold, and the four faces of the paper.
    fn defaults(threshold: f32) -> Self {
        Self { distance: 1.0 - threshold, min_faces: 4 }
    }

    fn grid() -> Vec<Self> {
        let distances = super::steps(0.28, 0.70, 22);
        distances.flat_map(|distance| [2, 3].map(|min_faces| Self { distance, min_faces })).collect()
    }

    fn setting(&self) -> String {
        format!("distance {:.2}, min. faces {}", self.distance, self.min_faces)
    }

    fn group(&self, similarities: &Similarities) -> Groups {
        gather(clusters(similarities, 1.0 - self.distance, self.min_faces))
    }
}

/// Returns the number of each face's cluster; `None` for noise. Faces are near each other from the
/// similarity `least`.
pub(super) fn clusters(similarities: &Similarities, least: f32, min_faces: usize) -> Vec<Option<usize>> {
    let faces = 0..similarities.len();
    let core: Vec<bool> =
        faces.clone().map(|face| similarities.near(face, least).take(min_faces).count() >= min_faces).collect();
    let mut clusters = vec![None; similarities.len()];
    let mut count = 0;
    for seed in faces.filter(|face| core[*face]) {
        if clusters[seed].is_some() {
            continue;
        }
        clusters[seed] = Some(count);
        let mut reached = vec![seed];
        while let Some(face) = reached.pop() {
            for other in similarities.near(face, least) {
                if clusters[other].is_none() {
                    clusters[other] = Some(count);
                    if core[other] {
                        reached.push(other);
                    }
                }
            }
        }
        count += 1;
    }
    clusters
}

#[cfg(test)]
mod tests {
    use super::super::tests::circle;
    use super::*;

    #[test]
    fn core_faces_chain_and_a_border_face_does_not() {
        // Steps of 10° are near; the face at 35° is near the one at 25° alone and is no core face.
        let faces = circle(&[0.0, 9.0, 18.0, 25.0, 35.0, 44.9, 200.0]);
        let near = 1.0 - 10.0_f32.to_radians().cos() + 1e-4;
        assert_eq!(Dbscan { distance: near, min_faces: 3 }.group(&faces), [[0, 1, 2, 3, 4, 5]]);
        assert_eq!(Dbscan { distance: near, min_faces: 4 }.group(&faces), Groups::new());
        let faces = circle(&[0.0, 9.0, 18.0, 28.0, 38.0, 200.0]);
        assert_eq!(Dbscan { distance: near - 2e-4, min_faces: 3 }.group(&faces), [[0, 1, 2]]);
        assert_eq!(Dbscan { distance: near, min_faces: 3 }.group(&faces), [[0, 1, 2, 3, 4]]);
    }
}
