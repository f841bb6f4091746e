//! Nothing that was said of a forgotten face is kept, and nothing else goes.

use std::collections::BTreeSet;

use mongodb::bson::serialize_to_vec;
use muster_actors::domain::face::FaceId;
use muster_actors::domain::fact::Fact;
use muster_actors::domain::gallery::GroupId;
use muster_actors::domain::image::Locator;
use muster_actors::people::correction::Details;
use muster_actors::people::{Correction, Member};
use muster_actors::ports::faces::{Commit, Faces};
use muster_stores::mongo::{Connection, MongoFaces};

use super::{author, commit, dump, gallery, grouped, photo};
use crate::contract::real::store;

async fn say(store: &MongoFaces, correction: Correction) {
    store.correct(&gallery(), &correction, &author(1)).await.unwrap();
}

/// How many facts that say something by themselves name one of some faces or persons.
async fn speaking(store: &MongoFaces, face: impl Fn(FaceId) -> bool, person: impl Fn(GroupId) -> bool) -> u64 {
    let facts = store.gallery(&gallery()).await.unwrap().facts;
    let names =
        |fact: &Fact| !matches!(fact, Fact::Place { .. }) && (fact.faces().any(&face) || fact.persons().any(&person));
    facts.iter().filter(names).count() as u64
}

/// Where these bytes are, outside of the collections that the next grouping writes anew.
async fn places(connection: &Connection, sign: &[u8]) -> BTreeSet<String> {
    let all = dump(connection).await.into_iter().filter(|(name, _)| name != "groups" && name != "lineage");
    let has = |bytes: Vec<u8>| bytes.windows(sign.len()).any(|part| part == sign);
    all.filter(|(_, document)| has(serialize_to_vec(document).unwrap())).map(|(name, _)| name).collect()
}

async fn assert_nowhere(connection: &Connection, ids: impl IntoIterator<Item = [u8; 16]>) {
    for id in ids {
        let hex = GroupId(id).to_string();
        for sign in [&id[..], hex.as_bytes()] {
            assert_eq!(places(connection, sign).await, BTreeSet::new(), "{hex}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_was_said_of_a_forgotten_face_is_kept_and_a_person_is_while_a_face_is_left() {
    let (connection, store) = store("mongo", "", "forgetting").await;
    let photos: Vec<Commit> = (0..14).map(|n| photo(n, 1)).collect();
    commit(&store, photos.clone()).await;
    let now = grouped(&store, 3, |_| None).await;
    let [ada, bob, ..] = &now.previous.groups[..] else { panic!("two groups") };
    let photo_of = |face: FaceId| photos.iter().find(|photo| photo.faces[0].id == face).unwrap();
    say(&store, Correction::name(ada.id, "Ada")).await;
    let cover = Details { cover: Some(ada.faces[0]), ..Details::default() };
    say(&store, Correction::Details { member: Member::Group(ada.id), details: cover }).await;
    say(&store, Correction::name(bob.id, "Bob")).await;
    say(&store, Correction::NotSame { a: ada.faces[0], b: bob.faces[0] }).await;
    say(&store, Correction::Move { group: bob.id, faces: [ada.faces[2]].into() }).await;

    let gone = photo_of(ada.faces[0]);
    let locators = [gone.image.locator.clone()];
    let faces = store.faces_of([gone.image.id]).await.unwrap();
    let naming = speaking(&store, |face| face == ada.faces[0], |_| false).await;
    assert!(naming >= 2, "confirmed, and another than a face of Bob's");
    assert_eq!(store.erase_images(&locators, &faces).await.unwrap(), naming);
    assert_nowhere(&connection, [ada.faces[0].0]).await;
    let content = blake3::Hash::from_bytes(gone.content.unwrap());
    assert_eq!(places(&connection, content.to_hex().as_bytes()).await, BTreeSet::new());
    let left = store.gallery(&gallery()).await.unwrap().facts;
    assert_eq!(left.persons[&ada.id].name.as_deref(), Some("Ada"));
    assert_eq!((left.persons[&ada.id].cover, left.not_same.len()), (None, 0));
    assert_eq!(left.person_of(ada.faces[1]), Some(ada.id));
    let history = store.history(&gallery(), None, 10).await.unwrap();
    assert_eq!(
        history.iter().map(|entry| entry.summary.as_str()).collect::<Vec<_>>(),
        ["1 face moved", "", "Bob", "", "Ada"]
    );
    assert_eq!(
        store.undo(&gallery(), Some(4), &author(2)).await.unwrap().to_string(),
        "Noted; no group changed by it.\n"
    );

    // With the last face the person goes, and with the person the name.
    let gone = photo_of(ada.faces[1]);
    let faces = store.faces_of([gone.image.id]).await.unwrap();
    let naming = speaking(&store, |face| face == ada.faces[1], |person| person == ada.id).await;
    assert!(naming >= 3, "confirmed, the record, and that the moved face is not of her");
    assert_eq!(store.erase_faces(std::slice::from_ref(&gone.image.locator), &faces).await.unwrap(), naming);
    assert_nowhere(&connection, [ada.faces[1].0, ada.id.0]).await;
    assert_eq!(places(&connection, b"Ada").await, BTreeSet::new());
    let left = store.gallery(&gallery()).await.unwrap().facts;
    assert_eq!(left.persons.keys().collect::<Vec<_>>(), [&bob.id]);
    assert_eq!(left.confirmed.len(), 4);

    let naming = speaking(&store, |_| false, |person| person == bob.id).await;
    assert_eq!(store.erase_persons(&gallery(), [bob.id].into()).await.unwrap(), naming);
    assert_eq!(places(&connection, b"Bob").await, BTreeSet::new());
    assert_eq!(
        store.gallery(&gallery()).await.unwrap().facts.iter().filter(|f| f.persons().next().is_some()).count(),
        0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_model_found_in_a_forgotten_photo_goes_too_and_a_copy_of_it_stays() {
    let (connection, store) = store("mongo", "", "forgetting").await;
    let old = photo(1, 1);
    commit(&store, vec![old.clone()]).await;
    let found = old.faces[0].id;
    let member = Member::Face(found);
    let details = Details { name: Some("Ada".into()), ..Details::default() };
    say(&store, Correction::Details { member, details }).await;
    // Another model finds the face elsewhere in the same photo, and the same bytes lie under another key.
    let mut new = old.clone();
    new.faces[0].id = FaceId([7; 16]);
    let locator = Locator { key: "copy.jpg".to_owned(), ..old.image.locator.clone() };
    let mut copy = old.clone();
    (copy.image.id, copy.image.locator) = (locator.id(), locator);
    (copy.faces[0].id, copy.faces[0].image) = (FaceId([8; 16]), copy.image.id);
    commit(&store, vec![new.clone(), copy.clone()]).await;
    let details = Details { name: Some("Eva".into()), ..Details::default() };
    say(&store, Correction::Details { member: Member::Face(FaceId([8; 16])), details }).await;

    let faces = store.faces_of([old.image.id]).await.unwrap();
    assert_eq!(faces.iter().map(|face| face.id).collect::<Vec<_>>(), [FaceId([7; 16])]);
    store.erase_images(std::slice::from_ref(&old.image.locator), &faces).await.unwrap();
    assert_nowhere(&connection, [found.0]).await;
    assert_eq!(places(&connection, b"Ada").await, BTreeSet::new(), "no face is left");
    let left = store.gallery(&gallery()).await.unwrap();
    assert_eq!(left.facts.confirmed.keys().collect::<Vec<_>>(), [&FaceId([8; 16])]);
    assert_eq!(left.facts.places.len(), 1);
    assert!(left.facts.persons.values().all(|person| person.name.as_deref() == Some("Eva")));
}
