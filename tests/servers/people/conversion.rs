//! What a release before noted as a log becomes facts, once.

use std::collections::BTreeMap;

use mongodb::bson::{Document, doc};
use muster_actors::domain::face::FaceId;
use muster_actors::domain::facts::Facts;
use muster_actors::domain::gallery::GallerySnapshot;
use muster_actors::people::Correction;
use muster_actors::people::legacy::{self, Decision, Verdict};
use muster_actors::ports::faces::Faces;
use muster_stores::mongo::{Connection, documents::uuid};

use super::{Rng, author, commit, gallery, grouped, photo, seeds};
use crate::contract::real::store;

/// A verdict as the release before writes it.
fn document(Decision { seq, verdict }: &Decision) -> Document {
    let mut fields = doc! { "gallery": "trip", "seq": *seq as i64, "batch": *seq as i64 };
    fields.extend(match verdict {
        Verdict::Same { a, b } => doc! { "say": "same", "a": uuid(a.0), "b": uuid(b.0) },
        Verdict::NotSame { a, b } => doc! { "say": "not_same", "a": uuid(a.0), "b": uuid(b.0) },
        Verdict::Name { face, name } => doc! { "say": "name", "a": uuid(face.0), "name": name },
        Verdict::Face { face, is_face: true } => doc! { "say": "face", "a": uuid(face.0) },
        Verdict::Face { face, is_face: false } => doc! { "say": "not_face", "a": uuid(face.0) },
    });
    fields
}

/// A log of the release before, which knows nothing of facts.
async fn note(connection: &Connection, log: &[Decision]) {
    let decisions = connection.faces.collection::<Document>("decisions");
    decisions.insert_many(log.iter().map(document)).await.unwrap();
    let galleries = connection.faces.collection::<Document>("galleries");
    galleries.update_one(doc! { "_id": "trip" }, doc! { "$unset": { "facts": 1 } }).await.unwrap();
}

fn anything(rng: &mut Rng, now: &GallerySnapshot) -> Vec<Decision> {
    let mut faces: Vec<FaceId> = now.faces.iter().map(|face| face.id).collect();
    // Some are gone since.
    faces.extend((0..3).map(|n| FaceId([n; 16])));
    let mut log = Vec::new();
    for group in &now.previous.groups {
        if let Some(name) = &group.name {
            log.push(Verdict::Name { face: group.cover, name: name.clone() });
        }
    }
    for _ in 0..rng.below(12) {
        let (a, b) = (rng.pick(&faces), rng.pick(&faces));
        log.push(match rng.below(5) {
            0 | 1 => Verdict::Same { a, b },
            2 => Verdict::NotSame { a, b },
            3 => Verdict::Face { face: a, is_face: rng.below(2) == 0 },
            _ => Verdict::Name { face: a, name: rng.pick(&["Ada", "Eva", ""]).to_owned() },
        });
    }
    (1..).zip(log).map(|(seq, verdict)| Decision { seq, verdict }).collect()
}

/// Facts whatever the time they were made at.
fn timeless(mut facts: Facts) -> Facts {
    facts.persons.values_mut().for_each(|person| person.made_ms = 0);
    facts
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_becomes_the_same_facts_as_over_the_whole_gallery_once_whoever_reads_first() {
    for seed in seeds(12) {
        let (connection, one) = store("mongo", "", "conversion").await;
        commit(&one, (0..20).map(|n| photo(n, 1 + n % 3)).collect()).await;
        let named = |n| [Some("Ada"), None, Some("Bob"), None, None][n % 5];
        let (before, mut rng) = (grouped(&one, 4, named).await, Rng(seed));
        let log = anything(&mut rng, &before);
        note(&connection, &log).await;
        let expected = timeless(legacy::facts(&log, &before, 0));
        let other = one.clone();
        let (a, b, c) = tokio::join!(
            async { one.gallery(&gallery()).await.unwrap() },
            async { other.gallery(&gallery()).await.unwrap() },
            async { one.history(&gallery(), None, 5).await.unwrap() },
        );
        assert_eq!((a.facts.clone(), a.version.generation), (b.facts, b.version.generation), "seed {seed}");
        assert_eq!(timeless(a.facts), expected, "seed {seed}: {log:#?}");
        assert_eq!((a.previous, c), (before.previous, Vec::new()));
        assert_eq!(a.version.generation, before.version.generation + 1, "once");
        let facts = connection.faces.collection::<Document>("facts");
        assert_eq!(facts.count_documents(doc! {}).await.unwrap(), expected.iter().count() as u64);
        let decisions = connection.faces.collection::<Document>("decisions");
        assert_eq!(decisions.count_documents(doc! {}).await.unwrap(), log.len() as u64, "the log stays");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_correction_comes_after_the_log() {
    let (connection, store) = store("mongo", "", "conversion").await;
    commit(&store, (0..6).map(|n| photo(n, 2)).collect()).await;
    let before = grouped(&store, 3, |n| [Some("Ada"), None][n % 2]).await;
    let ada = before.previous.groups.iter().find(|group| group.name.is_some()).unwrap();
    note(&connection, &[Decision { seq: 1, verdict: Verdict::Name { face: ada.cover, name: "Ada".into() } }]).await;
    store.correct(&gallery(), &Correction::name(ada.id, "Eva"), &author(1)).await.unwrap();
    let called = async || {
        let groups = store.gallery(&gallery()).await.unwrap().previous.groups;
        groups.into_iter().map(|group| (group.id, group.name)).collect::<BTreeMap<_, _>>()[&ada.id].clone()
    };
    assert_eq!(called().await.as_deref(), Some("Eva"));
    store.undo(&gallery(), None, &author(2)).await.unwrap();
    assert_eq!(called().await.as_deref(), Some("Ada"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_log_is_brought_over_in_parts_and_anew_where_another_died_halfway() {
    let (connection, store) = store("mongo", "", "conversion").await;
    for chunk in (0..8_000).collect::<Vec<_>>().chunks(1_000) {
        commit(&store, chunk.iter().map(|n| photo(*n, 1)).collect()).await;
    }
    let before = grouped(&store, 4_000, |_| Some("Ada")).await;
    let name = |face| Verdict::Name { face, name: "Ada".into() };
    let log = before.previous.groups.iter().map(|group| name(group.cover)).zip(1..);
    let log: Vec<Decision> = log.map(|(verdict, seq)| Decision { seq, verdict }).collect();
    note(&connection, &log).await;
    // Another has it for a moment more, and left a fact that is none.
    let until = mongodb::bson::DateTime::from_millis(mongodb::bson::DateTime::now().timestamp_millis() + 1_500);
    let claim = doc! { "$set": { "converting": { "by": "another", "until": until } } };
    connection.faces.collection::<Document>("galleries").update_one(doc! { "_id": "trip" }, claim).await.unwrap();
    let left = doc! { "gallery": "trip", "kind": "is_face", "a": uuid([1; 16]), "b": null, "value": "true" };
    connection.faces.collection("facts").insert_one(left).await.unwrap();
    let start = std::time::Instant::now();
    let facts = store.gallery(&gallery()).await.unwrap().facts;
    assert!(start.elapsed().as_millis() >= 1_000, "{:?}", start.elapsed());
    assert_eq!(timeless(facts.clone()), timeless(legacy::facts(&log, &before, 0)));
    assert_eq!((facts.confirmed.len(), facts.are_faces.len()), (7_995, 0));
    let gallery = connection.faces.collection::<Document>("galleries").find_one(doc! {}).await.unwrap().unwrap();
    assert!(!gallery.contains_key("converting"), "{gallery}");
}
