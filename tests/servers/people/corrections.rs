//! Corrections and their undoing, against a model in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use mongodb::bson::{Document, doc};
use muster_actors::domain::face::FaceId;
use muster_actors::domain::face_place::FacePlace;
use muster_actors::domain::gallery::{GallerySnapshot, Group, GroupId, Partition, Reconciled};
use muster_actors::people::correction::Details;
use muster_actors::people::undo::UndoError;
use muster_actors::people::{self, Change, Correction, CorrectionError, Member, Scene, Topic};
use muster_actors::ports::faces::Faces;
use muster_gallery::GalleryError;
use muster_gallery::corrected::Corrected;

use super::{Rng, author, commit, gallery, group, grouped, homes, photo, seeds};
use crate::contract::real::store;

/// What a store does with a change, in memory.
fn make(gallery: &mut GallerySnapshot, change: &Change) {
    change.edits.iter().for_each(|edit| gallery.facts.apply(edit));
    let mut all = homes(gallery);
    for moved in &change.moved {
        match moved.to {
            Some(to) => drop(all.insert(moved.face, to)),
            None => drop(all.remove(&moved.face)),
        }
    }
    let mut groups: BTreeMap<GroupId, BTreeSet<FaceId>> = BTreeMap::new();
    for (face, id) in all {
        groups.entry(id).or_default().insert(face);
    }
    let redirects = &mut gallery.previous.redirects;
    for (from, into) in &change.merged {
        redirects.values_mut().filter(|to| *to == from).for_each(|to| *to = *into);
        redirects.insert(*from, *into);
    }
    redirects.retain(|from, into| !groups.contains_key(from) && groups.contains_key(into));
    let drawn = groups.iter().map(|(id, faces)| {
        let person = gallery.facts.persons.get(id);
        let drawn = group(gallery, *id, faces, person.and_then(|person| person.name.as_deref()));
        let chosen = person.and_then(|person| person.cover).filter(|cover| faces.contains(cover));
        Group { cover: chosen.unwrap_or(drawn.cover), ..drawn }
    });
    gallery.previous.groups = drawn.collect();
}

/// The scene of a topic, with the groups of persons that those of the topic became.
fn scene_of(gallery: &GallerySnapshot, mut topic: Topic) -> Scene {
    let became: Vec<GroupId> = topic.groups.iter().filter_map(|id| gallery.facts.became.get(id).copied()).collect();
    topic.groups.extend(became);
    Scene::of(gallery, &topic)
}

/// Something that somebody may say, some of it nonsense.
pub(super) fn anything(rng: &mut Rng, now: &GallerySnapshot) -> Correction {
    let faces: Vec<FaceId> = now.faces.iter().map(|face| face.id).collect();
    let mut groups: Vec<GroupId> = now.previous.groups.iter().map(|group| group.id).collect();
    groups.extend(now.previous.redirects.keys());
    let some = |rng: &mut Rng, of: &[FaceId]| (0..1 + rng.below(3)).map(|_| rng.pick(of)).collect::<BTreeSet<_>>();
    let group = rng.pick(&groups);
    let own = now.previous.groups.iter().find(|other| other.id == group && !other.faces.is_empty());
    let own = own.map_or(&faces[..1], |group| &group.faces);
    let name = || format!("N{}", now.version.generation);
    match rng.below(12) {
        0 => Correction::name(group, name()),
        1 => {
            let details = Details { cover: Some(rng.pick(own)), is_hidden: Some(true), ..Details::default() };
            Correction::Details { member: Member::Group(group), details }
        }
        2 => Correction::Details {
            member: Member::Face(rng.pick(&faces)),
            details: Details { name: Some(name()), ..Details::default() },
        },
        3 | 4 => Correction::Merge(vec![Member::Group(group), Member::Group(rng.pick(&groups))]),
        5 => Correction::Split { group, faces: some(rng, own) },
        6 => Correction::Move { group, faces: some(rng, &faces) },
        7 => Correction::Confirm { group, faces: some(rng, own) },
        8 => Correction::NotPerson { group, faces: some(rng, own) },
        9 => Correction::NotOne { a: group, b: rng.pick(&groups) },
        10 => Correction::NotSame { a: rng.pick(own), b: rng.pick(&faces) },
        _ => Correction::Face { faces: some(rng, &faces), is_face: rng.below(2) == 0 },
    }
}

fn shown(corrected: &Corrected) -> serde_json::Value {
    serde_json::json!([corrected, corrected.to_string()])
}

#[tokio::test(flavor = "multi_thread")]
async fn corrections_and_their_undoing_leave_what_they_leave_of_a_gallery_in_memory() {
    for seed in seeds(6) {
        let (_, store) = store("mongo", "", "corrections").await;
        commit(&store, (0..20).map(|n| photo(n, 1 + n % 3)).collect()).await;
        let (mut model, mut rng) = (grouped(&store, 4, |_| None).await, Rng(seed));
        let (mut noted, mut number) = (Vec::new(), 0);
        for step in 0..60_u64 {
            let author = author(1_000 + step);
            if step % 4 == 3 && !noted.is_empty() {
                let (of, change): (u64, Change) = noted.remove(rng.below(noted.len()));
                let scene = scene_of(&model, change.topic());
                let expected = people::undo(&scene, &change, of, &author);
                match (store.undo(&gallery(), Some(of), &author).await, expected) {
                    (Ok(told), Ok(back)) => {
                        number += 1;
                        assert_eq!(shown(&told), shown(&Corrected::new(&scene, &back, Some(number))), "{step}");
                        make(&mut model, &back);
                    }
                    (Err(GalleryError::Undo { change, error }), Err(why)) => assert_eq!((change, error), (of, why)),
                    (told, expected) => panic!("seed {seed} step {step}: {told:?} instead of {expected:?}"),
                }
            } else {
                let correction = anything(&mut rng, &model);
                let scene = scene_of(&model, correction.topic());
                let told = store.correct(&gallery(), &correction, &author).await;
                match (told, people::plan(&scene, &correction, &author)) {
                    (Ok(told), Ok(change)) => {
                        number += u64::from(!change.is_empty());
                        let noted_as = (!change.is_empty()).then_some(number);
                        assert_eq!(shown(&told), shown(&Corrected::new(&scene, &change, noted_as)), "{correction:?}");
                        make(&mut model, &change);
                        noted.extend(noted_as.map(|number| (number, change)));
                    }
                    (Err(GalleryError::Correction(error)), Err(why)) => assert_eq!(error, why, "{correction:?}"),
                    (told, expected) => panic!("seed {seed} {correction:?}: {told:?} instead of {expected:?}"),
                }
            }
            let now = store.gallery(&gallery()).await.unwrap();
            assert_eq!(now.facts, model.facts, "seed {seed} step {step}");
            assert_eq!(now.previous, model.previous, "seed {seed} step {step}");
            model.version = now.version;
        }
        let history = store.history(&gallery(), None, 1_000).await.unwrap();
        let numbers: Vec<u64> = history.iter().map(|entry| entry.change).collect();
        assert_eq!(numbers, (1..=number).rev().collect::<Vec<_>>());
        let page = store.history(&gallery(), Some(number), 2).await.unwrap();
        assert_eq!(page, history[1..3]);
        // What was saved is what a grouping reads and writes.
        let now = store.gallery(&gallery()).await.unwrap();
        let same = Reconciled { partition: now.previous.clone(), ..Reconciled::default() };
        store.save(&gallery(), now.version, &same).await.unwrap();
        assert_eq!(store.gallery(&gallery()).await.unwrap(), now, "nothing to write");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_change_that_holds_is_taken_back_first_and_one_that_was_is_not_again() {
    let (_, store) = store("mongo", "", "undo").await;
    commit(&store, (0..6).map(|n| photo(n, 2)).collect()).await;
    let now = grouped(&store, 3, |_| None).await;
    let (a, b) = (now.previous.groups[0].id, now.previous.groups[1].id);
    let undo = async |number| store.undo(&gallery(), number, &author(9)).await;
    let name = async |group, name: &str| {
        store.correct(&gallery(), &Correction::name(group, name), &author(5)).await.unwrap().change
    };
    let called = async || {
        let groups = store.gallery(&gallery()).await.unwrap().previous.groups;
        [a, b].map(|id| groups.iter().find(|group| group.id == id).unwrap().name.clone().unwrap_or_default())
    };
    assert!(matches!(undo(None).await, Err(GalleryError::Nothing)));
    assert!(matches!(undo(Some(7)).await, Err(GalleryError::NoChange(7))));
    assert_eq!((name(a, "Ada").await, name(b, "Bob").await, name(b, "Bob").await), (Some(1), Some(2), None));
    let nobody = store.correct(&gallery(), &Correction::name(GroupId([9; 16]), "X"), &author(5)).await;
    assert!(matches!(nobody, Err(GalleryError::Correction(CorrectionError::NoGroup(_)))), "{nobody:?}");
    assert_eq!(undo(None).await.unwrap().change, Some(3));
    assert_eq!(called().await, ["Ada", ""]);
    assert!(matches!(undo(Some(2)).await, Err(GalleryError::Undo { change: 2, error: UndoError::Undone })));
    assert_eq!(undo(None).await.unwrap().change, Some(4), "an undoing is not what is taken back next");
    assert_eq!(called().await, ["", ""]);
    assert!(matches!(undo(None).await, Err(GalleryError::Nothing)));
    // By its number, an undoing is taken back too: the change holds again.
    assert_eq!(undo(Some(4)).await.unwrap().change, Some(5));
    assert_eq!(called().await, ["Ada", ""]);
    let history = store.history(&gallery(), None, 10).await.unwrap();
    let links: Vec<_> = history.iter().map(|entry| (entry.change, entry.undoes, entry.undone_by)).collect();
    assert_eq!(
        links,
        [(5, Some(4), None), (4, Some(1), Some(5)), (3, Some(2), None), (2, None, Some(3)), (1, None, None)]
    );
    assert_eq!((history[4].summary.as_str(), history[4].by.as_str(), history[4].at_ms), ("Ada", "somebody", 5));
    store.note_forgetting(&gallery(), "me").await.unwrap();
    let forgotten = undo(None).await;
    assert!(matches!(forgotten, Err(GalleryError::Undo { change: 6, error: UndoError::Forgotten })), "{forgotten:?}");
    assert_eq!(undo(Some(1)).await.unwrap().change, Some(7));
}

#[tokio::test(flavor = "multi_thread")]
async fn corrections_at_once_are_all_made_while_workers_write() {
    let (connection, store) = store("mongo", "", "at-once").await;
    commit(&store, (0..60).map(|n| photo(n, 2)).collect()).await;
    let groups = grouped(&store, 5, |_| None).await.previous.groups;
    let writing = {
        let store = store.clone();
        tokio::spawn(async move {
            for n in 100.. {
                commit(&store, vec![photo(n, 2)]).await;
            }
        })
    };
    // A grouping that has begun loses, and is made again.
    let grouping = {
        let store = store.clone();
        tokio::spawn(async move {
            loop {
                let now = store.gallery(&gallery()).await.unwrap();
                let redirects = [(GroupId([8; 16]), now.previous.groups[0].id)].into();
                let partition = muster_actors::domain::gallery::Partition { redirects, ..now.previous };
                let _ = store.save(&gallery(), now.version, &Reconciled { partition, ..Reconciled::default() }).await;
            }
        })
    };
    let corrections = groups.iter().zip(0..).map(|(group, n)| {
        let store = store.clone();
        let correction = Correction::name(group.id, format!("Person {n}"));
        tokio::spawn(async move {
            let start = Instant::now();
            store.correct(&gallery(), &correction, &author(n)).await.unwrap();
            start.elapsed()
        })
    });
    for correction in corrections.collect::<Vec<_>>() {
        let took = correction.await.unwrap();
        assert!(took < Duration::from_secs(15), "{took:?}");
    }
    writing.abort();
    grouping.abort();
    let (_, _) = (writing.await, grouping.await);
    let now = store.gallery(&gallery()).await.unwrap();
    for (group, n) in groups.iter().zip(0..) {
        let after = now.previous.groups.iter().find(|other| other.id == group.id).unwrap();
        assert_eq!((after.name.as_deref(), &after.faces), (Some(format!("Person {n}").as_str()), &group.faces));
    }
    let history = store.history(&gallery(), None, 100).await.unwrap();
    assert_eq!(history.iter().map(|entry| entry.change).min(), Some(1));
    assert_eq!((history.len(), history[0].change), (groups.len(), groups.len() as u64));
    let lineage = connection.faces.collection::<Document>("lineage");
    assert_eq!(lineage.count_documents(doc! { "event": { "$ne": "born" } }).await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_suggested_for_a_group_goes_with_it_but_for_faces_that_came_into_one() {
    let (_, store) = store("mongo", "", "suggested").await;
    commit(&store, (0..10).map(|n| photo(n, 2)).collect()).await;
    let mut now = grouped(&store, 5, |_| None).await;
    let in_groups = homes(&now);
    let alone: Vec<FaceId> =
        now.faces.iter().map(|face| face.id).filter(|face| !in_groups.contains_key(face)).collect();
    let (a, b) = (now.previous.groups[0].id, now.previous.groups[1].id);
    let suggestion = |group| muster_actors::domain::gallery::Suggestion { group, probability: 0.5 };
    now.previous.suggestions = alone.iter().map(|face| (*face, suggestion(b))).collect();
    let made = Reconciled { partition: now.previous, ..Reconciled::default() };
    store.save(&gallery(), now.version, &made).await.unwrap();
    let moved = Correction::Move { group: a, faces: [alone[0]].into() };
    store.correct(&gallery(), &moved, &author(1)).await.unwrap();
    let merged = Correction::Merge(vec![Member::Group(a), Member::Group(b)]);
    store.correct(&gallery(), &merged, &author(2)).await.unwrap();
    let left = store.gallery(&gallery()).await.unwrap().previous.suggestions;
    assert_eq!(left, alone[1..].iter().map(|face| (*face, suggestion(a))).collect());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_said_of_a_face_follows_it_to_another_id_with_a_grouping_and_in_the_history() {
    let (_, store) = store("mongo", "", "recognised").await;
    commit(&store, (0..4).map(|n| photo(n, 1)).collect()).await;
    let now = store.gallery(&gallery()).await.unwrap();
    let [one, other, ..] = &now.faces[..] else { panic!("four faces") };
    let photos: Vec<_> = (0..4).map(|n| photo(n, 1)).collect();
    let photo = photos.iter().find(|photo| photo.image.id == one.image).unwrap();
    let place = FacePlace {
        content: photo.content,
        picture: photo.image.picture,
        taken: None,
        width: 1000,
        height: 800,
        bbox: photo.faces[0].bbox,
    };
    assert_eq!(one.place, Some(place), "by which it is known again");
    let no_face = Correction::Face { faces: [one.id].into(), is_face: false };
    store.correct(&gallery(), &no_face, &author(1)).await.unwrap();
    let now = store.gallery(&gallery()).await.unwrap();
    // The face is gone, and another one is at its place: what was said of it is said of that one, also in the history.
    let mut facts = now.facts.clone();
    facts.rename(&[(one.id, other.id)]);
    let (recognised, renamed) = (now.facts.edits_to(&facts), vec![(one.id, other.id)]);
    let made = Reconciled { recognised, renamed, ..Reconciled::default() };
    store.save(&gallery(), now.version, &made).await.unwrap();
    let after = store.gallery(&gallery()).await.unwrap();
    assert_eq!(after.facts.are_faces, [(other.id, false)].into());
    assert!(after.version.generation > now.version.generation);
    store.undo(&gallery(), None, &author(2)).await.unwrap();
    assert!(store.gallery(&gallery()).await.unwrap().facts.are_faces.is_empty(), "it is taken back of that one");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_no_document_can_hold_is_kept_and_taken_back() {
    let (connection, store) = store("mongo", "", "large").await;
    for chunk in (0..12_000).collect::<Vec<_>>().chunks(1_000) {
        commit(&store, chunk.iter().map(|n| photo(*n, 1)).collect()).await;
    }
    let before = grouped(&store, 11_000, |_| None).await;
    let id = before.previous.groups.iter().max_by_key(|group| group.faces.len()).unwrap().id;
    let start = Instant::now();
    let named = store.correct(&gallery(), &Correction::name(id, "Ada"), &author(1)).await.unwrap();
    println!("11,000 faces named after {:?}", start.elapsed());
    let facts = store.gallery(&gallery()).await.unwrap().facts;
    assert_eq!((facts.confirmed.len(), facts.places.len()), (11_000, 11_000));
    let parts = connection.faces.collection::<Document>("changes").count_documents(doc! {}).await.unwrap();
    assert!(parts > 1, "{parts}");
    assert_eq!(store.history(&gallery(), None, 10).await.unwrap().len(), 1);
    let start = Instant::now();
    store.undo(&gallery(), named.change, &author(2)).await.unwrap();
    println!("and taken back after {:?}", start.elapsed());
    let after = store.gallery(&gallery()).await.unwrap();
    let faces = |partition: &Partition| -> Vec<_> {
        partition.groups.iter().map(|group| (group.id, group.faces.clone(), group.name.clone())).collect()
    };
    assert!(faces(&after.previous) == faces(&before.previous), "the group is as it was");
    assert_eq!(after.facts.confirmed.len(), 0);
}
