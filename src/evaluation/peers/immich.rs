//! Immich's face recognition: faces come one after the other, and each joins the person of its
//! nearest match.
//!
//! It follows `handleRecognizeFaces` in `server/src/services/person.service.ts` of
//! <https://github.com/immich-app/immich> (2025). Faces come in the order of the rows, as with one
//! worker; there are no archived photos and no corrections.

use super::{Peer, Similarities, gather};
use crate::Groups;

/// Immich's settings.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Immich {
    /// Largest cosine distance at which two faces match (`maxDistance`).
    pub max_distance: f32,
    /// Number of matches, itself included, from which a face is a core face and may start a person
    /// (`minFaces`).
    pub min_faces: usize,
}

impl Peer for Immich {
    const NAME: &'static str = "Immich";

    /// Returns Immich's defaults for its own model: distance 0.5, 3 faces.
    fn defaults(_: f32) -> Self {
        Self { max_distance: 0.5, min_faces: 3 }
    }

    fn grid() -> Vec<Self> {
        let distances = super::steps(0.3, 0.7, 9);
        distances.flat_map(|max_distance| [1, 2, 3].map(|min_faces| Self { max_distance, min_faces })).collect()
    }

    fn setting(&self) -> String {
        format!("distance {:.2}, min. faces {}", self.max_distance, self.min_faces)
    }

    fn group(&self, similarities: &Similarities) -> Groups {
        let least = 1.0 - self.max_distance;
        let mut people: Vec<Option<usize>> = vec![None; similarities.len()];
        let mut deferred = Vec::new();
        let mut count = 0;
        for face in 0..similarities.len() {
            let matches = similarities.near(face, least).count();
            if self.min_faces > 1 && matches <= 1 {
                continue;
            }
            if matches < self.min_faces {
                deferred.push(face);
                continue;
            }
            people[face] = nearest(similarities, face, least, &people).or_else(|| {
                count += 1;
                Some(count)
            });
        }
        for face in deferred {
            people[face] = nearest(similarities, face, least, &people);
        }
        gather(people)
    }
}

/// Returns the person of the nearest match that has one.
fn nearest(similarities: &Similarities, face: usize, least: f32, people: &[Option<usize>]) -> Option<usize> {
    let row = similarities.row(face);
    let known = similarities.near(face, least).filter_map(|other| Some((row[other], people[other]?)));
    known.reduce(|best, next| if next.0 > best.0 { next } else { best }).map(|(_, person)| person)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{circle, shown};
    use super::*;

    /// cos 60° is 0.5: faces 60° apart just match, and the tests stay away from that.
    #[test]
    fn two_faces_start_no_person_and_a_face_at_the_edge_joins_late() {
        let immich = Immich::defaults(0.4);
        assert!(immich.group(&circle(&[0.0, 10.0])).is_empty());
        // The first face matches one other only; it waits until the core faces have made a person.
        let faces = circle(&[100.0, 50.0, 20.0, 0.0]);
        assert_eq!(shown(immich.group(&faces)), [[0, 1, 2, 3]]);
    }

    #[test]
    fn a_face_joins_the_nearer_person_and_people_do_not_merge() {
        let immich = Immich { max_distance: 0.5, min_faces: 1 };
        // The last face matches both people; it joins the nearer, and they stay two.
        let faces = circle(&[0.0, 100.0, 52.0]);
        assert_eq!(immich.group(&faces), [vec![0], vec![1, 2]]);
    }
}
