//! A gallery that is written to all the time, in the database of a fleet.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use mongodb::bson::{Document, doc};
use muster_actors::domain::face::FaceId;
use muster_actors::domain::gallery::{FaceVector, Group, GroupId, Partition, Reconciled};
use muster_actors::ports::faces::{Faces, FacesError};
use muster_stores::mongo::MongoFaces;

use super::faces::{commit, gallery, result};
use super::real::store;

/// Between two commits; with a second in place of it the rule is: within two minutes.
const PAUSE: Duration = Duration::from_millis(250);
/// Commits within which a face is in a group.
const MOST: usize = 120;

/// All faces in 256 groups, by their ids.
fn partition(faces: &[FaceVector]) -> Reconciled {
    let mut members: BTreeMap<u8, Vec<FaceId>> = BTreeMap::new();
    for face in faces {
        members.entry(face.id.0[0]).or_default().push(face.id);
    }
    let group = |(first, faces): (u8, Vec<FaceId>)| Group {
        id: GroupId([first; 16]),
        cover: faces[0],
        centroid: vec![faces.len() as f32],
        faces,
        name: None,
    };
    let partition = Partition { groups: members.into_iter().map(group).collect(), ..Partition::default() };
    Reconciled { partition, ..Reconciled::default() }
}

async fn grouped(store: &MongoFaces) -> usize {
    let groups = store.gallery(&gallery()).await.unwrap().previous.groups;
    groups.iter().map(|group| group.faces.len()).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gallery_of_20_000_faces_that_is_written_to_every_second_has_them_in_groups_within_two_minutes() {
    let (_, store) = store("mongo", "", "steady").await;
    let store = Arc::new(store);
    for bulk in 0..20 {
        commit(&*store, (0..5).map(|n| result(&format!("{bulk}/{n}.jpg"), 200)).collect()).await;
    }
    let (commits, done) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let writer = {
        let (store, commits, done) = (Arc::clone(&store), Arc::clone(&commits), Arc::clone(&done));
        tokio::spawn(async move {
            while !done.load(Ordering::Relaxed) {
                let key = format!("new/{}.jpg", commits.load(Ordering::Relaxed));
                commit(&*store, vec![result(&key, 1)]).await;
                commits.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(PAUSE).await;
            }
        })
    };
    let written = || commits.load(Ordering::Relaxed);
    let (mut rounds, mut oldest) = (0, 0);
    let mut since = written();
    while rounds < 3 || written() < MOST {
        let read = store.gallery(&gallery()).await.unwrap();
        let begun = written();
        let made = partition(&read.faces);
        // Grouping takes a while, and somebody always writes meanwhile.
        while written() == begun {
            tokio::time::sleep(PAUSE / 10).await;
        }
        match store.save(&gallery(), read.version, &made).await {
            Ok(()) => {
                rounds += 1;
                // The youngest face that is in no group came after the last read that was saved.
                oldest = oldest.max(written() - since);
                since = begun;
            }
            Err(FacesError::Conflict) => assert!(written() - since < MOST, "the faces are in no group yet"),
            Err(error) => panic!("{error}"),
        }
    }
    done.store(true, Ordering::Relaxed);
    writer.await.unwrap();
    assert!(oldest < MOST, "a face was in no group for {oldest} commits");
    let faces = 20_000 + written();
    let read = store.gallery(&gallery()).await.unwrap();
    store.save(&gallery(), read.version, &partition(&read.faces)).await.unwrap();
    assert_eq!((read.faces.len(), grouped(&store).await), (faces, faces));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_face_that_is_deleted_while_its_group_is_saved_neither_comes_back_nor_is_counted_for_long() {
    let (connection, store) = store("mongo", "", "deleted").await;
    // Two faces that look the same: without one of them the group looks as before.
    let mut photos = [result("a.jpg", 1), result("b.jpg", 1)];
    photos[1].faces[0].embedding = photos[0].faces[0].embedding.clone();
    commit(&store, photos.to_vec()).await;
    let read = store.gallery(&gallery()).await.unwrap();
    let made = |faces: &[FaceVector]| {
        let faces: Vec<FaceId> = faces.iter().map(|face| face.id).collect();
        let group = Group {
            id: GroupId([7; 16]),
            cover: photos[0].faces[0].id,
            faces,
            centroid: vec![0.6, 0.8, 0.0],
            name: None,
        };
        Reconciled { partition: Partition { groups: vec![group], ..Partition::default() }, ..Reconciled::default() }
    };
    // The bulk that deletes it has not said so yet.
    let gone = photos[1].faces[0].id;
    let faces = connection.faces.collection::<Document>("faces");
    faces.delete_many(doc! { "image": mongodb::bson::Uuid::from_bytes(photos[1].image.id.0) }).await.unwrap();
    store.save(&gallery(), read.version, &made(&read.faces)).await.unwrap();
    commit(&store, vec![result("b.jpg", 0)]).await;
    let read = store.gallery(&gallery()).await.unwrap();
    assert!(read.faces.iter().all(|face| face.id != gone));
    store.save(&gallery(), read.version, &made(&read.faces)).await.unwrap();
    let group = connection.faces.collection::<Document>("groups").find_one(doc! {}).await.unwrap().unwrap();
    assert_eq!((group.get_i64("count").unwrap(), grouped(&store).await), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_release_before_writes_meanwhile_is_a_conflict() {
    let (connection, store) = store("mongo", "", "before").await;
    commit(&store, vec![result("a.jpg", 2)]).await;
    let read = store.gallery(&gallery()).await.unwrap();
    // It raises the generation whatever it writes.
    let galleries = connection.faces.collection::<Document>("galleries");
    galleries.update_one(doc! { "_id": &gallery().0 }, doc! { "$inc": { "generation": 1i64 } }).await.unwrap();
    let saved = store.save(&gallery(), read.version, &partition(&read.faces)).await;
    assert!(matches!(saved, Err(FacesError::Conflict)), "{saved:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gallery_as_a_release_before_left_it_is_read_saved_and_grouped_on() {
    let (connection, store) = store("mongo", "", "older").await;
    commit(&store, vec![result("a.jpg", 2)]).await;
    let galleries = connection.faces.collection::<Document>("galleries");
    let of = doc! { "_id": &gallery().0 };
    let older = doc! { "_id": &gallery().0, "generation": 7i64, "facts": 1 };
    galleries.replace_one(of.clone(), older).await.unwrap();
    assert!(!store.is_grouped(&gallery()).await.unwrap(), "nobody knows");
    let read = store.gallery(&gallery()).await.unwrap();
    assert_eq!((read.version.generation, read.version.revision, read.faces.len()), (7, 7, 2));
    commit(&store, vec![result("b.jpg", 1)]).await;
    store.save(&gallery(), read.version, &partition(&read.faces)).await.unwrap();
    assert_eq!(grouped(&store).await, 2, "the third waits");
    assert!(!store.is_grouped(&gallery()).await.unwrap());
    let read = store.gallery(&gallery()).await.unwrap();
    store.save(&gallery(), read.version, &partition(&read.faces)).await.unwrap();
    assert_eq!(grouped(&store).await, 3);
    assert!(store.is_grouped(&gallery()).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn whether_a_gallery_is_grouped_is_known_from_its_document_alone() {
    let (connection, store) = store("mongo", "", "settled").await;
    commit(&store, vec![result("a.jpg", 2)]).await;
    let read = store.gallery(&gallery()).await.unwrap();
    store.save(&gallery(), read.version, &partition(&read.faces)).await.unwrap();
    let own = &connection.faces;
    own.run_command(doc! { "profile": 2 }).await.unwrap();
    assert!(store.is_grouped(&gallery()).await.unwrap());
    own.run_command(doc! { "profile": 0 }).await.unwrap();
    let profile = own.collection::<Document>("system.profile");
    let read = profile.distinct("ns", doc! { "op": "query" }).await.unwrap();
    assert_eq!(read, [mongodb::bson::Bson::String(format!("{}.galleries", own.name()))]);
}
