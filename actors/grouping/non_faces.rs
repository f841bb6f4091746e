//! Which detections are no faces: by the word of a person, else by the models'. Pure.
//!
//! They take no part in grouping and are not counted as faces; they stay in the store, so that a
//! person can bring them back.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::face::FaceId;
use crate::domain::gallery::{Decision, GallerySnapshot, Verdict};

/// What people said last of each detection that they spoke of so: that it is a face (`true`), or none.
pub fn said(decisions: &[Decision]) -> BTreeMap<FaceId, bool> {
    let mut last: BTreeMap<FaceId, (u64, bool)> = BTreeMap::new();
    for decision in decisions {
        if let Verdict::Face { face, is_face } = decision.verdict {
            let word = last.entry(face).or_insert((decision.seq, is_face));
            if decision.seq >= word.0 {
                *word = (decision.seq, is_face);
            }
        }
    }
    last.into_iter().map(|(face, (_, is_face))| (face, is_face)).collect()
}

/// The detections that are no faces: those in `doubted`, which the models take for objects, unless
/// a person said that they are faces; and those that a person said are none.
pub fn non_faces(doubted: &BTreeSet<FaceId>, decisions: &[Decision]) -> BTreeSet<FaceId> {
    let mut non_faces = doubted.clone();
    for (face, is_face) in said(decisions) {
        if is_face {
            non_faces.remove(&face);
        } else {
            non_faces.insert(face);
        }
    }
    non_faces
}

/// Takes the detections that are no faces out of what is grouped, and returns their ids.
pub(super) fn set_aside(snapshot: &mut GallerySnapshot) -> BTreeSet<FaceId> {
    let non_faces = non_faces(&snapshot.doubted, &snapshot.decisions);
    if !non_faces.is_empty() {
        snapshot.faces.retain(|face| !non_faces.contains(&face.id));
    }
    non_faces
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grouping::explain::{Rule, explain};
    use crate::grouping::params::Params;
    use crate::grouping::reconcile::reconcile;
    use crate::grouping::scan::ScanFactory;
    use crate::grouping::tests::{Rng, face, face_id, near};

    fn f(n: u8) -> FaceId {
        FaceId([n; 16])
    }

    /// `+a` says that it is a face, `-a` that it is none, in this order; `=ab` says that two are one person.
    fn log(words: &str) -> Vec<Decision> {
        let verdict = |word: &[u8]| match *word {
            [b'=', a, b] => Verdict::Same { a: f(a), b: f(b) },
            [say, face] => Verdict::Face { face: f(face), is_face: say == b'+' },
            _ => panic!("no word: {word:?}"),
        };
        let words = words.split_whitespace().enumerate();
        words.map(|(seq, word)| Decision { seq: seq as u64, batch: 0, verdict: verdict(word.as_bytes()) }).collect()
    }

    #[test]
    fn the_last_word_of_a_person_counts_over_the_models() {
        for (doubted, words, expected) in [
            ("", "", ""),
            ("ab", "", "ab"),
            ("ab", "+a", "b"),
            ("ab", "+a -a", "ab"),
            ("", "-c", "c"),
            ("", "-c +c", ""),
            ("a", "-a", "a"),
            ("a", "-b +a", "b"),
            // That two are one person says nothing of this: whoever says so says it of a face with it.
            ("a", "=ab", "a"),
        ] {
            let ids = |text: &str| text.bytes().map(f).collect::<BTreeSet<_>>();
            let mut decisions = log(words);
            assert_eq!(non_faces(&ids(doubted), &decisions), ids(expected), "{doubted:?} {words:?}");
            // The order is that of the log's numbers.
            decisions.reverse();
            assert_eq!(non_faces(&ids(doubted), &decisions), ids(expected), "{doubted:?} {words:?} reversed");
        }
    }

    /// Five faces of one person, an object that resembles them (number 5), and strangers, each of its own photo.
    fn gallery(words: &[(usize, bool)]) -> GallerySnapshot {
        let mut rng = Rng(5);
        let person = rng.direction(64);
        let mut faces: Vec<_> = (0..6).map(|n| face(n, n, near(&mut rng, &person, 0.8), 0.9)).collect();
        faces.extend((6..40).map(|n| face(n, n, rng.direction(64), 0.9)));
        let decision = |(seq, &(n, is_face)): (u64, &(usize, bool))| Decision {
            seq,
            batch: seq,
            verdict: Verdict::Face { face: face_id(n), is_face },
        };
        let decisions = (1..).zip(words).map(decision).collect();
        GallerySnapshot { faces, doubted: [face_id(5)].into(), decisions, ..GallerySnapshot::default() }
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
