//! Corrections over small galleries: a table of each, and random histories against a model.

use std::collections::{BTreeMap, BTreeSet};

use super::correction::Details;
use super::undo::UndoError;
use super::*;
use crate::domain::capture::PictureHash;
use crate::domain::face::{BBox, FaceId};
use crate::domain::face_place::FacePlace;
use crate::domain::facts::Facts;
use crate::domain::gallery::{FaceVector, GallerySnapshot, Group, GroupId, Partition};
use crate::domain::image::ImageId;

fn f(n: u8) -> FaceId {
    FaceId([n; 16])
}

fn g(n: u8) -> GroupId {
    GroupId([n; 16])
}

fn faces(ids: &[u8]) -> BTreeSet<FaceId> {
    ids.iter().map(|n| f(*n)).collect()
}

/// A photo of its own for each face.
fn face(n: u8) -> FaceVector {
    let bbox = BBox { x: 10.0, y: 10.0, width: 50.0, height: 50.0 };
    let place = FacePlace {
        content: Some([n; 32]),
        picture: Some(PictureHash(u64::from(n) * 0x0101_0307)),
        taken: None,
        width: 100,
        height: 100,
        bbox,
    };
    FaceVector {
        id: f(n),
        image: ImageId([n; 16]),
        embedding: vec![1.0],
        quality: 0.5,
        capture: Default::default(),
        place: Some(place),
    }
}

fn group(n: u8, members: &[u8]) -> Group {
    let faces: Vec<FaceId> = faces(members).into_iter().collect();
    Group { id: g(n), cover: faces[0], faces, centroid: vec![1.0], name: None }
}

/// Groups 101 (faces 1 to 3), 102 (4 and 5) and 103 (6 to 9); faces 10 and 11 in none; 11 is an object.
fn gallery() -> GallerySnapshot {
    GallerySnapshot {
        faces: (1..12).map(face).collect(),
        doubted: faces(&[11]),
        previous: Partition {
            groups: vec![group(101, &[1, 2, 3]), group(102, &[4, 5]), group(103, &[6, 7, 8, 9])],
            ..Partition::default()
        },
        ..GallerySnapshot::default()
    }
}

/// Makes a change of a gallery, as a store does.
fn apply(gallery: &mut GallerySnapshot, change: &Change) {
    change.edits.iter().for_each(|edit| gallery.facts.apply(edit));
    let mut homes: BTreeMap<FaceId, GroupId> = homes(gallery);
    for moved in &change.moved {
        assert_eq!(homes.get(&moved.face).copied(), moved.from);
        match moved.to {
            Some(to) => drop(homes.insert(moved.face, to)),
            None => drop(homes.remove(&moved.face)),
        }
    }
    let mut groups: BTreeMap<GroupId, Vec<FaceId>> = BTreeMap::new();
    homes.into_iter().for_each(|(face, id)| groups.entry(id).or_default().push(face));
    gallery.previous.redirects.extend(change.merged.clone());
    gallery.previous.redirects.retain(|from, _| !groups.contains_key(from));
    gallery.previous.groups = groups
        .into_iter()
        .map(|(id, faces)| Group { id, cover: faces[0], faces, centroid: vec![1.0], name: None })
        .collect();
}

fn homes(gallery: &GallerySnapshot) -> BTreeMap<FaceId, GroupId> {
    gallery.previous.groups.iter().flat_map(|group| group.faces.iter().map(|face| (*face, group.id))).collect()
}

fn author(at_ms: u64) -> Author {
    Author { by: "me".into(), at_ms }
}

fn say(gallery: &mut GallerySnapshot, correction: &Correction, at_ms: u64) -> Result<Change, CorrectionError> {
    let change = plan(&Scene::of(gallery, &correction.topic()), correction, &author(at_ms))?;
    apply(gallery, &change);
    Ok(change)
}

fn take_back(gallery: &mut GallerySnapshot, change: &Change, at_ms: u64) -> Result<Change, UndoError> {
    let back = undo(&Scene::of(gallery, &change.topic()), change, 1, &author(at_ms))?;
    apply(gallery, &back);
    Ok(back)
}

fn name_of(gallery: &GallerySnapshot, id: GroupId) -> Option<String> {
    gallery.facts.persons.get(&id)?.name.clone()
}

fn members(gallery: &GallerySnapshot, id: GroupId) -> BTreeSet<FaceId> {
    homes(gallery).into_iter().filter(|(_, home)| *home == id).map(|(face, _)| face).collect()
}

#[test]
fn a_name_confirms_the_faces_of_a_group_once_and_moves_nothing() {
    let mut now = gallery();
    let change = say(&mut now, &Correction::name(g(101), " Ada "), 1).expect("a name");
    assert!(change.moved.is_empty());
    assert_eq!(name_of(&now, g(101)).as_deref(), Some("Ada"));
    assert_eq!(now.facts.confirmed.keys().copied().collect::<BTreeSet<_>>(), faces(&[1, 2, 3]));
    assert_eq!(now.facts.places.len(), 3);
    // A face that a computation adds is not confirmed by another name.
    now.previous.groups[0].faces.push(f(10));
    say(&mut now, &Correction::name(g(101), "Eva"), 2).expect("another name");
    assert_eq!(now.facts.confirmed.len(), 3);
    for name in ["A\nda", &"a".repeat(201)] {
        assert_eq!(say(&mut now, &Correction::name(g(101), name), 3), Err(CorrectionError::Name));
    }
    assert_eq!(say(&mut now, &Correction::name(g(9), "Ada"), 3), Err(CorrectionError::NoGroup(g(9))));
    say(&mut now, &Correction::name(g(101), ""), 4).expect("no name");
    assert_eq!((name_of(&now, g(101)), now.facts.confirmed.len()), (None, 3));
}

#[test]
fn splitting_off_the_cover_leaves_name_and_id_where_they_were() {
    let mut now = gallery();
    say(&mut now, &Correction::name(g(101), "Ada"), 1).expect("a name");
    let cover = Details { cover: Some(f(1)), ..Details::default() };
    say(&mut now, &Correction::Details { member: Member::Group(g(101)), details: cover }, 2).expect("a cover");
    let split = say(&mut now, &Correction::Split { group: g(101), faces: faces(&[1]) }, 3).expect("a split");
    assert_eq!(name_of(&now, g(101)).as_deref(), Some("Ada"));
    assert_eq!(members(&now, g(101)), faces(&[2, 3]));
    let [moved] = &split.moved[..] else { panic!("one face: {split:?}") };
    let other = moved.to.expect("a person of its own");
    assert_eq!((moved.from, name_of(&now, other)), (Some(g(101)), None));
    assert_eq!(now.facts.persons_apart, [(other.min(g(101)), other.max(g(101)))].into());
    assert_eq!(now.facts.persons[&g(101)].cover, None, "the cover is not there any more");
    for (chosen, expected) in [
        (faces(&[]), CorrectionError::NoneChosen),
        (faces(&[2, 3]), CorrectionError::All),
        (faces(&[4]), CorrectionError::NotMember(f(4))),
    ] {
        assert_eq!(say(&mut now, &Correction::Split { group: g(101), faces: chosen }, 4), Err(expected));
    }
}

#[test]
fn a_merge_keeps_the_first_whatever_was_said_when() {
    let mut now = gallery();
    say(&mut now, &Correction::name(g(102), "Bo"), 1).expect("a name");
    say(&mut now, &Correction::name(g(101), "Ada"), 2).expect("a name");
    say(&mut now, &Correction::NotSame { a: f(4), b: f(1) }, 3).expect("two people");
    let merge = Correction::Merge(vec![Member::Group(g(102)), Member::Group(g(101)), Member::Face(f(11))]);
    let change = say(&mut now, &merge, 4).expect("a merge");
    assert_eq!(name_of(&now, g(102)).as_deref(), Some("Bo"));
    assert_eq!(now.facts.persons[&g(102)].cover, Some(f(4)), "the cover stays");
    assert_eq!(members(&now, g(102)), faces(&[1, 2, 3, 4, 5, 11]));
    assert!(now.facts.not_same.is_empty() && now.facts.persons_apart.is_empty());
    assert_eq!(now.facts.are_faces, [(f(11), true)].into(), "an object that is somebody is a face");
    assert_eq!(now.previous.redirects.get(&g(101)), Some(&g(102)));
    // The id that ended leads to the one that was kept.
    say(&mut now, &Correction::name(g(101), "Bob"), 5).expect("a name by the old id");
    assert_eq!(name_of(&now, g(102)).as_deref(), Some("Bob"));
    assert_eq!(
        say(&mut now, &Correction::Merge(vec![Member::Group(g(102)), Member::Group(g(101))]), 6),
        Err(CorrectionError::Alone)
    );
    assert_eq!(
        say(&mut now, &Correction::Merge(vec![Member::Group(g(103)), Member::Face(f(1))]), 6),
        Err(CorrectionError::Elsewhere { face: f(1), group: g(102) })
    );
    assert!(!change.is_empty());
}

#[test]
fn moved_faces_are_remembered_as_strangers_where_they_were() {
    let mut now = gallery();
    say(&mut now, &Correction::name(g(101), "Ada"), 1).expect("a name");
    say(&mut now, &Correction::name(g(102), "Bo"), 2).expect("a name");
    say(&mut now, &Correction::Move { group: g(102), faces: faces(&[1, 6, 10]) }, 3).expect("a move");
    assert_eq!(members(&now, g(102)), faces(&[1, 4, 5, 6, 10]));
    assert_eq!((name_of(&now, g(101)), name_of(&now, g(102))), (Some("Ada".into()), Some("Bo".into())));
    assert!(now.facts.not_persons.contains(&(f(1), g(101))));
    assert!(now.facts.not_same.contains(&(f(6), f(7))), "the computed group does not follow: {:?}", now.facts.not_same);
    // Back again: nothing is left of it.
    say(&mut now, &Correction::Move { group: g(101), faces: faces(&[1]) }, 4).expect("a move");
    assert!(!now.facts.not_persons.contains(&(f(1), g(101))));
    assert_eq!(
        say(&mut now, &Correction::Move { group: g(101), faces: faces(&[1]) }, 5),
        Err(CorrectionError::NoneChosen)
    );
    assert_eq!(
        say(&mut now, &Correction::Move { group: g(101), faces: faces(&[77]) }, 5),
        Err(CorrectionError::NoFace(f(77)))
    );
}

#[test]
fn what_is_said_of_single_faces() {
    let mut now = gallery();
    // A face seen once gets a name.
    let details = Details { name: Some("Cleo".into()), ..Details::default() };
    let named = say(&mut now, &Correction::Details { member: Member::Face(f(10)), details }, 1).expect("a name");
    let cleo = named.moved[0].to.expect("a group of one");
    assert_eq!((members(&now, cleo), name_of(&now, cleo).as_deref()), (faces(&[10]), Some("Cleo")));
    // Not this person: out of the group, and nobody's.
    say(&mut now, &Correction::NotPerson { group: g(103), faces: faces(&[9]) }, 2).expect("not this person");
    assert_eq!((members(&now, g(103)), homes(&now).get(&f(9))), (faces(&[6, 7, 8]), None));
    // Two people in one group: the one that was confirmed stays.
    now.facts.confirmed.remove(&f(6));
    say(&mut now, &Correction::NotSame { a: f(6), b: f(7) }, 3).expect("two people");
    assert_eq!(members(&now, g(103)), faces(&[7, 8]));
    assert_eq!(say(&mut now, &Correction::NotSame { a: f(7), b: f(7) }, 4), Err(CorrectionError::Same));
    // Not a face, and a face after all.
    say(&mut now, &Correction::Face { faces: faces(&[8]), is_face: false }, 5).expect("an object");
    assert_eq!((members(&now, g(103)), now.facts.person_of(f(8))), (faces(&[7]), None));
    say(&mut now, &Correction::Face { faces: faces(&[8]), is_face: true }, 6).expect("a face");
    assert_eq!(now.facts.are_faces, [(f(8), true)].into());
    // Declined: two groups are not one.
    say(&mut now, &Correction::NotOne { a: g(101), b: g(102) }, 7).expect("two groups");
    assert!(now.facts.not_same.contains(&(f(1), f(4))));
    say(&mut now, &Correction::NotOne { a: g(103), b: cleo }, 8).expect("two persons");
    assert_eq!(now.facts.persons_apart.len(), 1);
}

#[test]
fn a_change_is_taken_back_by_itself_or_not_at_all() {
    let mut now = gallery();
    let first = say(&mut now, &Correction::name(g(101), "Ada"), 1).expect("a name");
    let other = say(&mut now, &Correction::name(g(102), "Bo"), 2).expect("a name");
    let second = say(&mut now, &Correction::name(g(101), "Eva"), 3).expect("another name");
    assert!(matches!(take_back(&mut now, &first, 4), Err(UndoError::Overtaken(_))));
    take_back(&mut now, &other, 5).expect("nothing builds on it");
    assert_eq!((name_of(&now, g(101)).as_deref(), name_of(&now, g(102))), (Some("Eva"), None));
    take_back(&mut now, &second, 6).expect("the last of it");
    take_back(&mut now, &first, 7).expect("the first of it");
    assert!(now.facts.persons.is_empty() && now.facts.confirmed.is_empty());
    assert_eq!(now.previous.groups.len(), 3);
}

#[test]
fn a_change_follows_faces_whose_ids_change_their_order() {
    let mut now = gallery();
    let change = say(&mut now, &Correction::NotSame { a: f(1), b: f(4) }, 1).expect("two people");
    let text = serde_json::to_string(&change).expect("plain data");
    let ids = [(f(1).to_string(), f(200).to_string())].into();
    let text = super::change::with_ids(&text, &ids).expect("the face is named");
    now.facts.rename(&[(f(1), f(200))]);
    now.faces.push(face(200));
    let followed = Change::from_json(&text).expect("a change");
    assert_eq!(now.facts.not_same, [(f(4), f(200))].into());
    take_back(&mut now, &followed, 2).expect("nothing builds on it");
    assert!(now.facts.not_same.is_empty());
}

#[test]
fn what_made_a_person_is_not_taken_back_under_what_was_said_of_it_later() {
    let mut now = gallery();
    let named = say(&mut now, &Correction::name(g(101), "Ada"), 1).expect("a name");
    let moved = say(&mut now, &Correction::Move { group: g(101), faces: faces(&[10]) }, 2).expect("a move");
    assert!(matches!(take_back(&mut now, &named, 3), Err(UndoError::Overtaken(_))));
    take_back(&mut now, &moved, 4).expect("the last");
    take_back(&mut now, &named, 5).expect("the first");
    assert!(now.facts.persons.is_empty() && now.facts.confirmed.is_empty());
}

/// SplitMix64.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % n as u64) as usize
    }
}

/// Something that somebody may say of the gallery as it stands.
fn any(dice: &mut Dice, now: &GallerySnapshot) -> Correction {
    let groups: Vec<GroupId> = now.previous.groups.iter().map(|group| group.id).collect();
    let group = |dice: &mut Dice| groups[dice.below(groups.len())];
    let one = |dice: &mut Dice| now.faces[dice.below(now.faces.len())].id;
    let few = |dice: &mut Dice, of: GroupId| {
        let all: Vec<FaceId> = members(now, of).into_iter().collect();
        (0..1 + dice.below(2)).map(|_| all[dice.below(all.len())]).collect::<BTreeSet<_>>()
    };
    let of = group(dice);
    match dice.below(10) {
        0 | 1 => Correction::name(of, ["Ada", "Bo", "Cleo", ""][dice.below(4)]),
        2 => Correction::Merge(vec![Member::Group(of), Member::Group(group(dice))]),
        3 => Correction::Split { group: of, faces: few(dice, of) },
        4 => Correction::Move { group: of, faces: [one(dice), one(dice)].into() },
        5 => Correction::Confirm { group: of, faces: few(dice, of) },
        6 => Correction::NotPerson { group: of, faces: few(dice, of) },
        7 => Correction::NotSame { a: one(dice), b: one(dice) },
        8 => Correction::Face { faces: [one(dice)].into(), is_face: dice.below(2) == 0 },
        _ => {
            let details = Details { is_hidden: Some(dice.below(2) == 0), ..Details::default() };
            Correction::Details { member: Member::Group(of), details }
        }
    }
}

/// No face is in two groups, confirmed faces are with their persons, and nothing contradicts itself.
fn check(now: &GallerySnapshot, what: &str) {
    let homes = homes(now);
    assert_eq!(homes.len(), now.previous.groups.iter().map(|group| group.faces.len()).sum::<usize>(), "{what}");
    for face in &now.faces {
        if let Some(person) = now.facts.person_of(face.id) {
            assert_eq!(homes.get(&face.id), Some(&person), "{what}: {}", face.id);
            assert!(!now.facts.not_persons.contains(&(face.id, person)), "{what}: {}", face.id);
            assert_ne!(now.facts.are_faces.get(&face.id), Some(&false), "{what}: {}", face.id);
        }
    }
    for (a, b) in &now.facts.not_same {
        assert!(!homes.contains_key(a) || homes.get(a) != homes.get(b), "{what}: {a} and {b} are two people");
    }
    assert!(now.facts.became.keys().all(|gone| !now.facts.persons.contains_key(gone)), "{what}");
}

#[test]
fn no_correction_loses_or_moves_what_it_does_not_name() {
    for seed in 0..2_000 {
        let mut dice = Dice(seed);
        let mut now = gallery();
        let mut history: Vec<(Change, Facts)> = Vec::new();
        for step in 0..1 + dice.below(12) {
            let before = now.clone();
            let correction = any(&mut dice, &now);
            let what = format!("seed {seed}, step {step}: {correction:?}");
            let Ok(change) = say(&mut now, &correction, step as u64) else {
                assert_eq!(now, before, "{what}: an error changes nothing");
                continue;
            };
            check(&now, &what);
            // Groups that the correction does not name keep their faces, and persons their names.
            let topic = Scene::of(&before, &correction.topic());
            for group in before.previous.groups.iter().filter(|group| !topic.groups.contains_key(&group.id)) {
                assert_eq!(members(&now, group.id), group.faces.iter().copied().collect(), "{what}");
                assert_eq!(name_of(&now, group.id), name_of(&before, group.id), "{what}");
            }
            // A name goes only where the correction says so: by a name, or into the first of a merge.
            for (id, person) in before.facts.persons.iter().filter(|(_, person)| person.name.is_some()) {
                let into = now.facts.became.get(id).unwrap_or(id);
                let spoken = matches!(&correction, Correction::Details { .. } | Correction::Merge(_));
                assert!(spoken || name_of(&now, *into) == person.name, "{what}: {person:?}");
            }
            // What one change says, its undoing takes back, to the last fact.
            let mut undone = now.clone();
            take_back(&mut undone, &change, 99).expect("nothing came after it");
            let without_places = |facts: &Facts| Facts { places: BTreeMap::new(), ..facts.clone() };
            assert_eq!(without_places(&undone.facts), without_places(&before.facts), "{what}");
            assert_eq!(homes(&undone), homes(&before), "{what}");
            history.push((change, before.facts));
        }
        // In their order, all changes are taken back.
        while let Some((change, before)) = history.pop() {
            take_back(&mut now, &change, 100).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
            assert_eq!(now.facts.persons, before.persons, "seed {seed}");
        }
        assert_eq!(homes(&now), homes(&gallery()), "seed {seed}");
    }
}

#[test]
fn faces_are_known_again_in_other_files_and_by_other_models() {
    let mut now = gallery();
    say(&mut now, &Correction::name(g(101), "Ada"), 1).expect("a name");
    say(&mut now, &Correction::NotSame { a: f(1), b: f(4) }, 2).expect("two people");
    say(&mut now, &Correction::Face { faces: faces(&[5]), is_face: false }, 3).expect("an object");
    // All files moved, and another model looked at them: other ids, boxes a little elsewhere, other vectors.
    let moved = |n: u8| {
        let mut face = face(n);
        (face.id.0[15], face.image.0[15], face.embedding) = (200, 200, vec![0.0, 1.0]);
        if let Some(place) = &mut face.place {
            place.bbox.x += 4.0;
        }
        face
    };
    now.faces = (1..12).map(moved).collect();
    let before = now.facts.clone();
    let carried = recognise::recognise(&now.faces, &now.facts);
    carried.edits.iter().for_each(|edit| now.facts.apply(edit));
    assert_eq!(carried.renamed.len(), 5, "what was said of faces that are gone is said of those that are there");
    let id = |n: u8| moved(n).id;
    for n in 1..=3 {
        assert_eq!(now.facts.person_of(id(n)), Some(g(101)), "{n}");
    }
    assert_eq!(now.facts.are_faces.get(&id(5)), Some(&false));
    assert_eq!(now.facts.person_of(id(4)), None);
    let pair = |a: FaceId, b: FaceId| now.facts.not_same.contains(&(a.min(b), a.max(b)));
    assert!(pair(id(1), id(4)), "{:?}", now.facts.not_same);
    assert_eq!(recognise::recognise(&now.faces, &now.facts), recognise::Recognised::default(), "once");
    // A copy beside a file that is still there: both are said of.
    now.facts = before;
    now.faces = (1..12).map(face).chain((1..12).map(|n| FaceVector { embedding: vec![1.0], ..moved(n) })).collect();
    let copied = recognise::recognise(&now.faces, &now.facts);
    copied.edits.iter().for_each(|edit| now.facts.apply(edit));
    assert!(copied.renamed.is_empty());
    assert_eq!((now.facts.person_of(f(1)), now.facts.person_of(id(1))), (Some(g(101)), Some(g(101))));
}

mod legacy_logs {
    use super::super::legacy::{Decision, Verdict, facts};
    use super::*;

    fn log(verdicts: &[Verdict]) -> Vec<Decision> {
        (1..).zip(verdicts.iter().cloned()).map(|(seq, verdict)| Decision { seq, verdict }).collect()
    }

    fn name(n: u8, name: &str) -> Verdict {
        Verdict::Name { face: f(n), name: name.into() }
    }

    fn names(facts: &Facts) -> Vec<&str> {
        let mut names: Vec<&str> = facts.persons.values().filter_map(|person| person.name.as_deref()).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn a_log_becomes_persons_and_no_name_is_lost() {
        let mut now = gallery();
        now.previous.groups[0].name = Some("Ada".into());
        now.previous.groups[1].name = Some("Bo".into());
        let said = log(&[
            name(1, "Ada"),
            // Computed into the group of another name since: covered, not lost.
            name(2, "Cleo"),
            // Taken away again.
            name(6, "Dan"),
            name(6, ""),
            // Its photo is gone.
            name(66, "Eva"),
            // Merged by word: the group's name is theirs.
            name(4, "Bea"),
            name(5, "Bo"),
            Verdict::Same { a: f(4), b: f(5) },
            Verdict::Same { a: f(6), b: f(7) },
            Verdict::NotSame { a: f(1), b: f(4) },
            Verdict::Face { face: f(11), is_face: true },
        ]);
        let facts = facts(&said, &now, 7);
        assert_eq!(names(&facts), ["Ada", "Bo", "Cleo", "Eva"]);
        assert_eq!(facts.person_of(f(1)), Some(g(101)));
        assert_eq!((facts.person_of(f(3)), facts.person_of(f(4))), (Some(g(101)), Some(g(102))));
        let cleo = facts.person_of(f(2)).expect("a person of her own");
        assert_eq!(facts.persons[&cleo].name.as_deref(), Some("Cleo"));
        assert_eq!((facts.person_of(f(6)), facts.person_of(f(7))), (Some(g(103)), Some(g(103))));
        assert_eq!((facts.person_of(f(8)), facts.persons[&g(103)].name.as_deref()), (None, None));
        assert!(facts.not_same.contains(&(f(1), f(4))));
        assert_eq!(facts.are_faces, [(f(11), true)].into());
        let eva = facts.person_of(f(66)).expect("a person without faces");
        assert_eq!(facts.persons[&eva].name.as_deref(), Some("Eva"));
        assert!(facts.confirmed.keys().filter(|face| **face != f(66)).all(|face| facts.places.contains_key(face)));
    }

    #[test]
    fn later_verdicts_win_and_every_name_that_is_shown_stays() {
        for seed in 0..500 {
            let mut dice = Dice(seed);
            let mut now = gallery();
            let mut verdicts = Vec::new();
            for _ in 0..dice.below(12) {
                let one = |dice: &mut Dice| f(1 + dice.below(12) as u8);
                verdicts.push(match dice.below(4) {
                    0 => Verdict::Same { a: one(&mut dice), b: one(&mut dice) },
                    1 => Verdict::NotSame { a: one(&mut dice), b: one(&mut dice) },
                    2 => Verdict::Face { face: one(&mut dice), is_face: dice.below(2) == 0 },
                    _ => {
                        let said = ["Ada", "Bo", "Cleo", "Dan"][dice.below(4)];
                        let face = one(&mut dice);
                        if let Some(group) = now.previous.groups.iter_mut().find(|group| group.faces.contains(&face)) {
                            group.name = Some(said.into());
                        }
                        Verdict::Name { face, name: said.into() }
                    }
                });
            }
            let facts = facts(&log(&verdicts), &now, 1);
            for group in now.previous.groups.iter().filter(|group| group.name.is_some()) {
                assert_eq!(facts.persons[&group.id].name, group.name, "seed {seed}");
            }
            for (a, b) in &facts.not_same {
                let last = verdicts.iter().rev().find_map(|verdict| match verdict {
                    Verdict::Same { a: x, b: y } if (x.min(y), x.max(y)) == (a, b) => Some(true),
                    Verdict::NotSame { a: x, b: y } if (x.min(y), x.max(y)) == (a, b) => Some(false),
                    _ => None,
                });
                assert_eq!(last, Some(false), "seed {seed}");
            }
        }
    }
}
