//! Groupings that change much of a gallery, in the database of a fleet.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use mongodb::bson::{Document, doc};
use muster_actors::domain::face::FaceId;
use muster_actors::domain::gallery::{FaceVector, Group, GroupId, Partition, Reconciled};
use muster_actors::ports::faces::{Faces, FacesError};
use muster_gallery::pages::FaceFilter as Which;
use muster_stores::mongo::{Connection, IdPrefix, MongoFaces, pages};

use super::faces::{commit, gallery, result};
use super::real::store;

/// What is waited for somebody who died: until the server ends the transaction that was open, and the claim is over.
const DEAD: Duration = Duration::from_secs(60 + 20 + 20);

/// All faces in about `groups` groups, whose ids begin with a byte.
fn partition(first: u8, groups: u16, faces: &[FaceVector]) -> Reconciled {
    let mut members: BTreeMap<u16, Vec<FaceId>> = BTreeMap::new();
    for face in faces {
        members.entry(u16::from_be_bytes([face.id.0[0], face.id.0[1]]) % groups).or_default().push(face.id);
    }
    let group = |(number, faces): (u16, Vec<FaceId>)| {
        let [a, b] = number.to_be_bytes();
        let id = GroupId([first, a, b, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        Group { id, cover: faces[0], faces, centroid: vec![0.5], name: None }
    };
    let partition = Partition { groups: members.into_iter().map(group).collect(), ..Partition::default() };
    Reconciled { partition, ..Reconciled::default() }
}

async fn fill(store: &MongoFaces, photos: u32, faces: u8) -> Vec<FaceVector> {
    let keys: Vec<String> = (0..photos).map(|n| format!("{n}.jpg")).collect();
    for keys in keys.chunks(20) {
        commit(store, keys.iter().map(|key| result(key, faces)).collect()).await;
    }
    store.gallery(&gallery()).await.unwrap().faces
}

/// The first bytes of the ids of groups that somebody sees in each of the ways to look at a gallery.
async fn seen(store: &MongoFaces) -> Vec<(u64, BTreeSet<u8>)> {
    let firsts = |ids: Vec<GroupId>| ids.into_iter().map(|id| id.0[0]).collect();
    let people = pages::people(store, &gallery()).await.unwrap();
    let faces = pages::faces(store, &gallery(), Which::Grouped, None, 200).await.unwrap();
    let published = loop {
        let head = store.head(&gallery()).await.unwrap();
        let groups = store.groups_below(&gallery(), head, &IdPrefix::all()).await.unwrap();
        if store.head(&gallery()).await.unwrap().has_groups_of(head) {
            break groups;
        }
    };
    let read = store.gallery(&gallery()).await.unwrap().previous.groups;
    vec![
        (people.iter().map(|person| person.faces).sum(), firsts(people.iter().map(|person| person.id).collect())),
        (faces.total, firsts(faces.rows.iter().filter_map(|face| face.group).collect())),
        (
            published.iter().map(|(_, places)| places.len() as u64).sum(),
            firsts(published.iter().map(|(group, _)| group.id).collect()),
        ),
        (read.iter().map(|group| group.faces.len() as u64).sum(), firsts(read.iter().map(|group| group.id).collect())),
    ]
}

async fn staged(connection: &Connection) -> (u64, u64) {
    let count =
        async |name: &str| connection.faces.collection::<Document>(name).count_documents(doc! {}).await.unwrap();
    (count("staged_groups").await, count("staging").await)
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_looks_at_a_gallery_sees_the_old_groups_or_the_new_ones_and_never_both() {
    let (connection, store) = store("mongo", "", "whole").await;
    let store = Arc::new(store);
    let faces = fill(&store, 60, 50).await;
    let all = faces.len() as u64;
    let read = store.gallery(&gallery()).await.unwrap();
    store.save(&gallery(), read.version, &partition(1, 400, &faces)).await.unwrap();
    let done = Arc::new(AtomicBool::new(false));
    let reader = {
        let (store, done) = (Arc::clone(&store), Arc::clone(&done));
        tokio::spawn(async move {
            let mut rounds = 0;
            while !done.load(Ordering::Relaxed) {
                for (way, (count, groups)) in seen(&store).await.into_iter().enumerate() {
                    assert_eq!((count, groups.len()), (all, 1), "way {way}: {groups:?}");
                }
                rounds += 1;
            }
            rounds
        })
    };
    for round in 2..6 {
        let read = store.gallery(&gallery()).await.unwrap();
        store.save(&gallery(), read.version, &partition(round, 300 + u16::from(round), &faces)).await.unwrap();
        assert!(seen(&store).await.into_iter().all(|seen| seen == (all, [round].into())));
    }
    done.store(true, Ordering::Relaxed);
    assert!(reader.await.unwrap() > 0);
    // Whoever knows only the collections of releases before finds the groups where they were.
    let groups = connection.faces.collection::<Document>("groups").distinct("_id", doc! {}).await.unwrap();
    assert_eq!(groups.len(), 305);
    let one = connection.faces.collection::<Document>("faces").distinct("group", doc! {}).await.unwrap();
    assert_eq!(one.len(), 305);
    assert_eq!(staged(&connection).await, (0, 0), "nothing is left");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_dies_while_it_saves_leaves_the_old_groups_and_the_next_one_goes_on() {
    let (connection, store) = store("mongo", "", "dies").await;
    let faces = fill(&store, 60, 50).await;
    let all = faces.len() as u64;
    let first = store.gallery(&gallery()).await.unwrap();
    store.save(&gallery(), first.version, &partition(1, 400, &faces)).await.unwrap();
    let old = store.gallery(&gallery()).await.unwrap();
    let made = partition(2, 1_500, &faces);
    let mut dead = false;
    for milliseconds in [30, 60, 90, 120] {
        dead |= tokio::time::timeout(Duration::from_millis(milliseconds), store.save(&gallery(), old.version, &made))
            .await
            .is_err();
        if dead && staged(&connection).await.0 > 0 {
            break;
        }
    }
    assert!(dead && staged(&connection).await.1 > 0, "it died too early or too late");
    assert!(seen(&store).await.into_iter().all(|seen| seen == (all, [1].into())));
    let since = Instant::now();
    store.save(&gallery(), old.version, &made).await.unwrap();
    assert!(since.elapsed() < DEAD, "{:?}", since.elapsed());
    assert!(seen(&store).await.into_iter().all(|seen| seen == (all, [2].into())));
    assert_eq!(staged(&connection).await, (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_that_never_came_to_hold_is_taken_away_with_the_next_save_however_small() {
    let (connection, store) = store("mongo", "", "tidy").await;
    let faces = fill(&store, 1, 3).await;
    let own = |name: &str| connection.faces.collection::<Document>(name);
    own("staged_groups").insert_one(doc! { "_id": "x", "gallery": &gallery().0, "name": "Ada" }).await.unwrap();
    let past = mongodb::bson::DateTime::from_millis(1);
    own("staging").insert_one(doc! { "_id": &gallery().0, "by": "dead", "until": past }).await.unwrap();
    let read = store.gallery(&gallery()).await.unwrap();
    store.save(&gallery(), read.version, &partition(1, 2, &faces)).await.unwrap();
    assert_eq!(staged(&connection).await, (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_groupings_that_are_saved_at_once_do_not_mix() {
    let (connection, store) = store("mongo", "", "two").await;
    let faces = fill(&store, 60, 50).await;
    let all = faces.len() as u64;
    let read = store.gallery(&gallery()).await.unwrap();
    let (one, two) = (partition(1, 900, &faces), partition(2, 800, &faces));
    let (gallery, other) = (gallery(), store.clone());
    let saved = tokio::join!(store.save(&gallery, read.version, &one), other.save(&gallery, read.version, &two));
    let winner = match &saved {
        (Ok(()), Err(FacesError::Conflict)) => 1,
        (Err(FacesError::Conflict), Ok(())) => 2,
        _ => panic!("{saved:?}"),
    };
    assert!(seen(&store).await.into_iter().all(|seen| seen == (all, [winner].into())));
    assert_eq!(staged(&connection).await, (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_writes_faces_waits_less_than_a_second_for_a_grouping_that_changes_much() {
    let (_, store) = store("mongo", "", "waits").await;
    let store = Arc::new(store);
    let faces = fill(&store, 100, 200).await;
    let read = store.gallery(&gallery()).await.unwrap();
    let made = partition(1, 6_000, &faces);
    let done = Arc::new(AtomicBool::new(false));
    let writer = {
        let (store, done) = (Arc::clone(&store), Arc::clone(&done));
        tokio::spawn(async move {
            let (mut longest, mut number) = (Duration::ZERO, 0);
            while !done.load(Ordering::Relaxed) {
                let since = Instant::now();
                commit(&*store, vec![result(&format!("new/{number}.jpg"), 1)]).await;
                longest = longest.max(since.elapsed());
                number += 1;
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            (longest, number)
        })
    };
    let since = Instant::now();
    store.save(&gallery(), read.version, &made).await.unwrap();
    let took = since.elapsed();
    done.store(true, Ordering::Relaxed);
    let (longest, commits) = writer.await.unwrap();
    println!("{commits} commits, the slowest {longest:?}, beside a grouping that was saved in {took:?}");
    assert!(longest < Duration::from_secs(1), "{longest:?}");
    let after = store.gallery(&gallery()).await.unwrap();
    assert_eq!((after.previous, after.faces.len()), (made.partition, 20_000 + commits));
}
