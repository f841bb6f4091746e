//! Rules that no similarity overrides, and what `explain` says of them.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::grouping::calibration::Calibration;
use crate::grouping::cluster::Clustering;
use crate::grouping::constraints::Constraints;
use crate::grouping::explain::{Explanation, Rule, explain};

/// Faces that are one person.
fn one(a: usize, b: usize) -> Facts {
    let mut facts = Facts::default();
    same(&mut facts, face_id(a), face_id(b));
    facts
}

/// Faces that are two people.
fn two(a: usize, b: usize) -> Facts {
    [Fact::not_same(face_id(a), face_id(b))].into_iter().collect()
}

/// Nobody said anything.
fn nothing() -> Facts {
    Facts::default()
}

/// Faces on a circle, at degrees: cosines are easy to tell.
fn at(n: usize, image: usize, degrees: f32, quality: f32) -> FaceVector {
    face(n, image, vec![degrees.to_radians().cos(), degrees.to_radians().sin()], quality)
}

fn numbers(sets: &[Vec<FaceId>], count: usize) -> Vec<Vec<usize>> {
    let number: BTreeMap<_, _> = (0..count).map(|n| (face_id(n), n)).collect();
    let mut sets: Vec<Vec<usize>> = sets.iter().map(|set| set.iter().map(|face| number[face]).collect()).collect();
    sets.iter_mut().for_each(|set| set.sort_unstable());
    sets.sort();
    sets
}

fn why(faces: &[FaceVector], facts: &Facts, a: usize, b: usize) -> Explanation {
    let snapshot = GallerySnapshot { faces: faces.to_vec(), facts: facts.clone(), ..Default::default() };
    explain(snapshot, &Params::default(), &ScanFactory, face_id(a), face_id(b)).expect("equal dimensions")
}

#[test]
fn constraints_hold_whatever_the_gallery() {
    for seed in 0..80 {
        let faces = gallery(seed, 50);
        let facts = said(&mut Rng(seed), &faces, 12);
        let constraints = Constraints::new(&facts, &faces, &Partition::default());
        let sets = sets(faces.clone(), &facts);
        let home: BTreeMap<_, _> = sets.iter().enumerate().flat_map(|(n, s)| s.iter().map(move |f| (*f, n))).collect();
        assert_eq!(home.len(), sets.concat().len(), "seed {seed}: a face is in two groups");
        for (a, b) in &constraints.apart {
            assert!(home.get(a).is_none_or(|home_a| Some(home_a) != home.get(b)), "seed {seed}: {a} {b}");
        }
        for unit in &constraints.units {
            assert!(unit.iter().all(|f| home.contains_key(f) && home.get(f) == home.get(&unit[0])), "seed {seed}");
        }
        let people = constraints.units.iter().map(|unit| home[&unit[0]]).collect::<BTreeSet<_>>();
        assert_eq!(people.len(), constraints.units.len(), "seed {seed}: two persons are in one group");
        for (n, a) in faces.iter().enumerate() {
            for b in faces[..n].iter().filter(|b| b.image == a.image && home.contains_key(&a.id)) {
                let together = home.get(&a.id) == home.get(&b.id);
                let both_spoken = constraints.unit(a.id).is_some() || constraints.unit(b.id).is_some();
                assert!(!together || both_spoken, "seed {seed}: {} and {} of one photo", a.id, b.id);
            }
        }
    }
}

#[test]
fn poor_faces_attach_and_never_bridge() {
    // Two people 100 degrees apart with a poor face on the way between them.
    let mut faces = vec![at(0, 0, 0.0, 0.9), at(1, 1, 16.0, 0.9), at(2, 2, 100.0, 0.9), at(3, 3, 116.0, 0.9)];
    assert_eq!(numbers(&sets(faces.clone(), &nothing()), 4), [[0, 1], [2, 3]]);
    faces.push(at(4, 4, 36.0, 0.1));
    assert_eq!(numbers(&sets(faces.clone(), &nothing()), 5), [vec![0, 1, 4], vec![2, 3]]);
    assert!(why(&faces, &nothing(), 4, 1).together);
    // Two poor faces alone are no group, until a person says so.
    let poor = vec![at(0, 0, 0.0, 0.1), at(1, 1, 16.0, 0.1), at(2, 2, 8.0, 0.1)];
    assert!(sets(poor.clone(), &nothing()).is_empty());
    assert_eq!(numbers(&sets(poor.clone(), &one(0, 1)), 3), [[0, 1, 2]]);
    assert!(matches!(why(&poor, &nothing(), 0, 1).rule, Rule::LowQuality { .. }));
}

#[test]
fn a_photo_with_one_person_twice_does_not_tear_that_person_apart() {
    // Photo 9 is a collage of the person whose single portraits are 0 to 2.
    let mut faces = vec![at(0, 0, 0.0, 0.9), at(1, 1, 20.0, 0.9), at(2, 2, 40.0, 0.9)];
    faces.extend([at(3, 9, 1.0, 0.9), at(4, 9, 21.0, 0.9), at(5, 9, 39.0, 0.9)]);
    let sets = numbers(&sets(faces.clone(), &nothing()), 6);
    assert_eq!(sets.len(), 1, "{sets:?}");
    assert!(sets[0].starts_with(&[0, 1, 2]) && sets[0].len() == 4, "{sets:?}");
    let out = (3..6).find(|n| !sets[0].contains(n)).expect("two of the collage are out");
    assert!(matches!(why(&faces, &nothing(), 0, out).rule, Rule::OnePhoto { .. }));
    // Siblings who are always together, and resemble each other, are two groups.
    let pairs: Vec<_> = (0..4)
        .flat_map(|n| [at(2 * n, n, 15.0 * n as f32, 0.9), at(2 * n + 1, n, 70.0 + 15.0 * n as f32, 0.9)])
        .collect();
    assert_eq!(numbers(&super::sets(pairs, &nothing()), 8), [[0, 2, 4, 6], [1, 3, 5, 7]]);
}

#[test]
fn explain_names_the_rule_and_the_way() {
    let faces =
        [at(0, 0, 0.0, 0.9), at(1, 1, 16.0, 0.9), at(2, 2, 120.0, 0.9), at(3, 0, -50.0, 0.9), at(4, 4, 64.0, 0.9)];
    type Row = (Facts, usize, usize, bool, fn(&Rule) -> bool);
    let table: &[Row] = &[
        (nothing(), 0, 1, true, |rule| matches!(rule, Rule::Connected)),
        (one(0, 2), 0, 2, true, |rule| matches!(rule, Rule::SaidSame)),
        (two(0, 1), 0, 1, false, |rule| matches!(rule, Rule::SaidNotSame { .. })),
        (nothing(), 0, 3, false, |rule| matches!(rule, Rule::OnePhoto { .. })),
        (nothing(), 0, 9, false, |rule| matches!(rule, Rule::Unknown)),
    ];
    for (facts, a, b, together, rule) in table {
        let got = why(&faces, facts, *a, *b);
        assert_eq!((got.together, rule(&got.rule)), (*together, true), "{a} {b}: {got}");
        assert!(got.to_string().contains(if *together { "together" } else { "apart" }));
    }
    let far = [at(0, 0, 0.0, 0.9), at(1, 1, 16.0, 0.9), at(2, 2, 120.0, 0.9), at(3, 3, 136.0, 0.9)];
    assert!(matches!(why(&far, &nothing(), 0, 2).rule, Rule::BelowThreshold { .. }));
    // A way exists, by steps of 40 degrees, and the mean over all pairs cuts it.
    let chain =
        [at(0, 0, 0.0, 0.9), at(1, 1, 15.0, 0.9), at(2, 2, 50.0, 0.9), at(3, 3, 85.0, 0.9), at(4, 4, 100.0, 0.9)];
    let got = why(&chain, &nothing(), 0, 4);
    assert!(matches!(got.rule, Rule::MeanTooLow { .. }), "{got}");
    assert!(got.path.len() >= 2 && got.weakest().is_some_and(|step| step.similarity > 0.38), "{got}");
    assert!(serde_json::to_string(&got).expect("plain data").contains("mean_too_low"));
}

#[test]
fn copies_are_one_appearance() {
    // A picture and its copies are nobody's group, and no evidence twice.
    let copies = vec![at(0, 0, 0.0, 0.9), at(1, 1, 0.5, 0.9), at(2, 2, 1.0, 0.9)];
    assert!(sets(copies.clone(), &nothing()).is_empty());
    // With another shot they are all of that person.
    let mut faces = copies;
    faces.push(at(3, 3, 20.0, 0.9));
    assert_eq!(numbers(&sets(faces.clone(), &nothing()), 4), [[0, 1, 2, 3]]);
    // A folder twice has the groups of the folder, each with both copies.
    for seed in 0..40 {
        let mut once = gallery(seed, 60);
        once.dedup_by_key(|face| face.image);
        once.iter_mut().for_each(|face| face.quality = 0.9);
        let copy = |face: &FaceVector| {
            let mut copy = face.clone();
            (copy.id.0[0], copy.image.0[0]) = (!face.id.0[0], !face.image.0[0]);
            copy
        };
        let both: Vec<_> = once.iter().cloned().chain(once.iter().map(copy)).collect();
        let originals: BTreeSet<FaceId> = once.iter().map(|face| face.id).collect();
        let calibration = Calibration::learn(&Params::default(), 48, &once);
        let groups = |faces: &[FaceVector]| {
            let mut clustering =
                Clustering::new(Params::default(), calibration.clone(), &ScanFactory).expect("an index");
            clustering.insert(faces, &ScanFactory).expect("equal dimensions");
            clustering.partition()
        };
        let halves: Vec<Vec<FaceId>> = groups(&both)
            .iter()
            .map(|group| group.iter().copied().filter(|face| originals.contains(face)).collect::<Vec<_>>())
            .filter(|group| group.len() > 1)
            .collect();
        let single = groups(&once);
        assert_eq!(halves.len(), single.len(), "seed {seed}");
        for group in &single {
            let home = halves.iter().find(|half| half.contains(&group[0]));
            let whole = home.is_some_and(|half| group.iter().all(|face| half.contains(face)));
            assert!(whole, "seed {seed}: {group:?} was torn apart");
        }
    }
}

#[test]
fn a_person_of_one_face_is_a_group_however_poor_the_face() {
    for quality in [1.0, 0.1] {
        let faces = [at(0, 0, 0.0, 1.0), at(1, 1, 90.0, quality)];
        assert_eq!(sets(&faces, &nothing()), Vec::<Vec<_>>::new());
        assert_eq!(sets(&faces, &one(1, 1)), [vec![face_id(1)]]);
    }
}

#[test]
fn two_persons_stay_two_however_alike_they_are() {
    let mut rng = Rng(5);
    let person = rng.direction(64);
    let mut faces: Vec<_> = (0..8).map(|n| face(n, n, near(&mut rng, &person, 0.8), 0.9)).collect();
    faces.extend((8..40).map(|n| face(n, n, rng.direction(64), 0.9)));
    assert_eq!(sets(&faces, &nothing()).len(), 1);
    let mut facts = one(0, 1);
    same(&mut facts, face_id(6), face_id(7));
    let sets = numbers(&sets(&faces, &facts), 40);
    assert_eq!(sets.len(), 2, "{sets:?}");
    let home = |n: usize| sets.iter().position(|set| set.contains(&n));
    assert!(home(0) == home(1) && home(6) == home(7) && home(0) != home(6), "{sets:?}");
    assert!(matches!(why(&faces, &facts, 0, 7).rule, Rule::SaidNotSame { .. }));
}
