//! Decides which detections are no faces: a person's statement counts first, then the models' judgement. All functions
//! are pure.
//!
//! Such detections are not grouped and not counted as faces. They stay in the store, so that a person can bring them
//! back.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::face::FaceId;
use crate::domain::gallery::GallerySnapshot;

/// Returns the detections that are no faces: those in `doubted`, which the models take for objects, unless a person
/// said that they are faces, and those that a person said are none.
pub fn non_faces(doubted: &BTreeSet<FaceId>, said: &BTreeMap<FaceId, bool>) -> BTreeSet<FaceId> {
    let mut non_faces = doubted.clone();
    for (face, is_face) in said {
        if *is_face {
            non_faces.remove(face);
        } else {
            non_faces.insert(*face);
        }
    }
    non_faces
}

/// Removes the detections that are no faces from a snapshot, and returns their ids.
pub(super) fn set_aside(snapshot: &mut GallerySnapshot) -> BTreeSet<FaceId> {
    let non_faces = non_faces(&snapshot.doubted, &snapshot.facts.are_faces);
    if !non_faces.is_empty() {
        snapshot.faces.retain(|face| !non_faces.contains(&face.id));
    }
    non_faces
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::fact::Fact;
    use crate::domain::facts::Facts;
    use crate::grouping::explain::{Rule, explain};
    use crate::grouping::params::Params;
    use crate::grouping::reconcile::reconcile;
    use crate::grouping::scan::ScanFactory;
    use crate::grouping::tests::{Rng, face, face_id, near};

    fn f(n: u8) -> FaceId {
        FaceId([n; 16])
    }

    #[test]
    fn the_word_of_a_person_counts_over_the_models() {
        for (doubted, words, expected) in [
            ("", "", ""),
            ("ab", "", "ab"),
            ("ab", "+a", "b"),
            ("ab", "-a", "ab"),
            ("", "-c", "c"),
            ("", "+c", ""),
            ("a", "-b +a", "b"),
        ] {
            let ids = |text: &str| text.bytes().map(f).collect::<BTreeSet<_>>();
            let word = |word: &str| (f(word.as_bytes()[1]), word.starts_with('+'));
            let said = words.split_whitespace().map(word).collect();
            assert_eq!(non_faces(&ids(doubted), &said), ids(expected), "{doubted:?} {words:?}");
        }
    }

    /// Five faces of one person, an object that resembles them (number 5), and strangers, each of its own photo.
    fn gallery(words: &[(usize, bool)]) -> GallerySnapshot {
        let mut rng = Rng(5);
        let person = rng.direction(64);
        let mut faces: Vec<_> = (0..6).map(|n| face(n, n, near(&mut rng, &person, 0.8), 0.9)).collect();
        faces.extend((6..40).map(|n| face(n, n, rng.direction(64), 0.9)));
        let mut facts = Facts::default();
        words.iter().for_each(|(n, is_face)| facts.set(Fact::IsFace { face: face_id(*n), is_face: *is_face }));
        GallerySnapshot { faces, doubted: [face_id(5)].into(), facts, ..GallerySnapshot::default() }
    }

    #[test]
    fn an_object_is_in_no_group_until_a_person_says_that_it_is_a_face() {
        for (words, expected) in
            [(&[][..], 0..5), (&[(5, true)], 0..6), (&[(5, true), (5, false)], 0..5), (&[(0, false)], 1..5)]
        {
            let after = reconcile(gallery(words), &Params::default(), &ScanFactory).unwrap();
            let grouped: BTreeSet<FaceId> =
                after.partition.groups.iter().flat_map(|group| group.faces.clone()).collect();
            assert_eq!(grouped, expected.map(face_id).collect::<BTreeSet<_>>(), "{words:?}");
        }
    }

    #[test]
    fn why_an_object_is_apart_is_that_it_is_none() {
        let (one, other) = (face_id(1), face_id(5));
        let why = |words: &[(usize, bool)]| {
            explain(gallery(words), &Params::default(), &ScanFactory, one, other).unwrap().rule
        };
        assert_eq!(why(&[]), Rule::NotAFace { face: other });
        assert_eq!(why(&[(1, false)]), Rule::NotAFace { face: one });
        assert_eq!(why(&[(5, true)]), Rule::Connected);
    }
}
