//! Photos of one moment.

use super::*;
use crate::grouping::explain::{Rule, explain};

const MINUTE: i64 = 60_000;
/// Cosine of two faces that are not together without more.
const ALIKE: f32 = 0.32;

/// A vector with this cosine to another.
fn at_cosine(rng: &mut Rng, to: &[f32], cosine: f32) -> Vec<f32> {
    let other = rng.direction(to.len());
    let along: f32 = to.iter().zip(&other).map(|(x, y)| x * y).sum();
    let across: Vec<f32> = other.iter().zip(to).map(|(y, x)| y - along * x).collect();
    let length = across.iter().map(|v| v * v).sum::<f32>().sqrt();
    let sine = (1.0 - cosine * cosine).sqrt();
    to.iter().zip(across).map(|(x, y)| cosine * x + sine * y / length).collect()
}

/// Fifty strangers, and a turned face of one person in two photos: too little alike to be together without more.
fn turned(captures: [Capture; 2]) -> Vec<FaceVector> {
    let mut rng = Rng(31);
    let mut faces: Vec<_> = (2..52).map(|n| face(n, n, rng.direction(64), 0.9)).collect();
    let first = rng.direction(64);
    let second = at_cosine(&mut rng, &first, ALIKE);
    for (n, (capture, vector)) in captures.into_iter().zip([first, second]).enumerate() {
        faces.push(FaceVector { capture, ..face(n, n, vector, 0.2) });
    }
    faces
}

fn pairs(faces: &[FaceVector], facts: &Facts) -> Vec<Vec<FaceId>> {
    let mut pair = vec![face_id(0), face_id(1)];
    pair.sort_unstable();
    let all = sets(faces, facts);
    assert!(all.is_empty() || all == [pair], "strangers were grouped: {all:?}");
    all
}

#[test]
fn turned_faces_of_one_moment_are_together() {
    let at = |minutes: i64| taken(minutes * MINUTE);
    let table = [
        ([at(0), at(2)], 1),
        ([at(0), at(12)], 0),
        ([at(0), Capture::default()], 0),
        ([Capture::default(), Capture::default()], 0),
        // A time says more than a name.
        ([Capture { series: in_series(1).series, ..at(0) }, Capture { series: in_series(2).series, ..at(60) }], 0),
    ];
    for (captures, groups) in table {
        assert_eq!(pairs(&turned(captures), &Facts::default()).len(), groups, "{captures:?}");
    }
    let faces = turned([at(0), at(2)]);
    let snapshot = GallerySnapshot { faces, ..Default::default() };
    let why = explain(snapshot, &Params::default(), &ScanFactory, face_id(0), face_id(1)).expect("equal dimensions");
    assert_eq!((why.together, &why.rule), (true, &Rule::OneMoment), "{why}");
    assert!(why.path[0].one_moment && (0.05..0.15).contains(&why.path[0].excess), "{why}");
}

#[test]
fn people_have_the_last_word_about_a_moment() {
    let faces = turned([taken(0), taken(MINUTE)]);
    let facts: Facts = [Fact::not_same(face_id(0), face_id(1))].into_iter().collect();
    assert!(pairs(&faces, &facts).is_empty());
}

#[test]
fn names_in_a_series_need_two_faces_that_match() {
    let one = turned([in_series(4), in_series(5)]);
    assert!(pairs(&one, &Facts::default()).is_empty());
    // A second person in both photos.
    let mut rng = Rng(33);
    let first = rng.direction(64);
    let second = at_cosine(&mut rng, &first, ALIKE);
    let mut two = one.clone();
    for (n, vector) in [first, second].into_iter().enumerate() {
        two.push(FaceVector { capture: in_series(4 + n as u64), ..face(60 + n, n, vector, 0.2) });
    }
    assert_eq!(sets(&two, &Facts::default()).iter().map(Vec::len).collect::<Vec<_>>(), [2, 2]);
    two.iter_mut().filter(|face| face.image == image_id(1)).for_each(|face| face.capture = in_series(40));
    assert!(sets(&two, &Facts::default()).is_empty(), "far apart in the series");
}

#[test]
fn a_profile_joins_the_person_of_its_moment() {
    let mut rng = Rng(38);
    let person = rng.direction(64);
    let mut faces: Vec<_> = (20..70).map(|n| face(n, n, rng.direction(64), 0.9)).collect();
    faces.extend((0..5).map(|n| face(n, n, near(&mut rng, &person, 0.8), 0.9)));
    faces[50].capture = taken(0);
    // Like the first face, and hardly like the others.
    let first = faces[50].embedding.clone();
    let profile = at_cosine(&mut rng, &first, ALIKE);
    faces.push(FaceVector { capture: taken(MINUTE), ..face(5, 5, profile, 0.2) });
    let size = |faces: &[FaceVector]| {
        let all = sets(faces, &Facts::default());
        all.iter().find(|group| group.contains(&face_id(0))).map(Vec::len)
    };
    assert_eq!(size(&faces), Some(6));
    faces[55].capture = Capture::default();
    assert_eq!(size(&faces), Some(5), "without a time it stays alone");
}

#[test]
fn a_picture_in_another_size_is_no_second_appearance() {
    let mut rng = Rng(37);
    let mut faces: Vec<_> = (2..52).map(|n| face(n, n, rng.direction(64), 0.9)).collect();
    let first = rng.direction(64);
    let second = at_cosine(&mut rng, &first, 0.92);
    faces.extend([face(0, 0, first, 0.9), face(1, 1, second, 0.9)]);
    let shown = |a: Capture, b: Capture| {
        let mut faces = faces.clone();
        (faces[50].capture, faces[51].capture) = (a, b);
        sets(&faces, &Facts::default()).iter().filter(|group| group.contains(&face_id(0))).count()
    };
    let looks = |bits: u64, capture: Capture| Capture { picture: Some(PictureHash(bits)), ..capture };
    let hour = 60 * MINUTE;
    let table = [
        (looks(0b11, Capture::default()), looks(0, Capture::default()), 0),
        (looks(0b11, taken(0)), looks(0, taken(500)), 0),
        (looks(0b11, taken(0)), looks(0, taken(hour)), 1),
        (looks(0b1111, Capture::default()), looks(0, Capture::default()), 1),
        (Capture::default(), Capture::default(), 1),
    ];
    for (a, b, groups) in table {
        assert_eq!(shown(a, b), groups, "{a:?} {b:?}");
    }
}
