//! A grouping worker that reads only what changed in a gallery, beside one that reads all of it each time.

use std::collections::{BTreeMap, BTreeSet};

use mongodb::bson::{DateTime, Document, doc};
use muster_actors::domain::face::FaceId;
use muster_actors::domain::gallery::{GallerySnapshot, Group, GroupId, Partition, Reconciled, Suggestion};
use muster_actors::domain::image::digest;
use muster_actors::ports::faces::Faces;
use muster_stores::mongo::{Connection, GalleryCopies, MongoFaces};

use super::corrections::anything;
use super::{Rng, author, commit, gallery, group, homes, photo, seeds};
use crate::contract::real::store;

/// Groups that somebody may make of a gallery: most stay as they are.
pub(crate) fn regrouped(rng: &mut Rng, now: &GallerySnapshot, moves: usize, groups: usize) -> Reconciled {
    let mut at = homes(now);
    for _ in 0..moves {
        let face = now.faces[rng.below(now.faces.len())].id;
        match rng.below(groups + 1) {
            0 => drop(at.remove(&face)),
            n => drop(at.insert(face, GroupId(digest("group", &[&n.to_le_bytes()])))),
        }
    }
    let mut members: BTreeMap<GroupId, BTreeSet<FaceId>> = BTreeMap::new();
    for (face, id) in &at {
        members.entry(*id).or_default().insert(*face);
    }
    let name = |id: GroupId| now.facts.persons.get(&id).and_then(|person| person.name.clone());
    let groups: Vec<Group> = members.iter().map(|(id, faces)| group(now, *id, faces, name(*id).as_deref())).collect();
    let mut redirects = now.previous.redirects.clone();
    redirects.retain(|from, into| !members.contains_key(from) && members.contains_key(into));
    let alone = now.faces.iter().map(|face| face.id).find(|face| !at.contains_key(face));
    let suggestions =
        alone.zip(groups.first()).map(|(face, group)| (face, Suggestion { group: group.id, probability: 0.5 }));
    let partition = Partition { groups, redirects, suggestions: suggestions.into_iter().collect() };
    Reconciled { partition, ..Reconciled::default() }
}

/// Everything that was written so far was written long ago.
pub(crate) async fn much_later(connection: &Connection) {
    let long_ago = DateTime::from_millis(DateTime::now().timestamp_millis() - 3_600_000);
    let marked = doc! { "changed_at": { "$exists": true } };
    let faces = connection.faces.collection::<Document>("faces");
    faces.update_many(marked, doc! { "$set": { "changed_at": long_ago } }).await.unwrap();
}

/// A gallery with everything that may happen to it.
struct World {
    connection: Connection,
    plain: MongoFaces,
    photos: usize,
}

impl World {
    /// Lets something happen; what.
    async fn step(&mut self, rng: &mut Rng, follower: &MongoFaces) -> &'static str {
        let now = self.plain.gallery(&gallery()).await.unwrap();
        let is_empty = now.faces.is_empty();
        match rng.below(12) {
            0..=2 => {
                let count = 1 + rng.below(3);
                let photos = (0..count).map(|n| photo(self.photos + n, 1 + rng.below(3))).collect();
                commit(&self.plain, photos).await;
                self.photos += count;
                "photos came"
            }
            _ if is_empty => "nothing",
            3 => {
                let mut again = photo(rng.below(self.photos), 3);
                again.faces.iter_mut().for_each(|face| face.quality.overall = 0.3 + rng.below(50) as f32 / 100.0);
                commit(&self.plain, vec![again]).await;
                "a photo came again, with other faces"
            }
            4 => {
                commit(&self.plain, vec![photo(rng.below(self.photos), rng.below(2))]).await;
                "a photo came again, with fewer faces"
            }
            5..=7 if now.previous.groups.is_empty() => "nothing",
            5 | 6 => {
                // Some of it is nonsense, and refused.
                let _ = self.plain.correct(&gallery(), &anything(rng, &now), &author(5)).await;
                "somebody said something"
            }
            7 => {
                let _ = self.plain.undo(&gallery(), None, &author(6)).await;
                "somebody took something back"
            }
            8 => {
                let read = follower.gallery(&gallery()).await.unwrap();
                let made = regrouped(rng, &read, 3, 6);
                follower.save(&gallery(), read.version, &made).await.unwrap();
                "the one that follows grouped"
            }
            9 => {
                let made = regrouped(rng, &now, 3, 6);
                self.plain.save(&gallery(), now.version, &made).await.unwrap();
                "another one grouped"
            }
            10 => {
                let faces = self.connection.faces.collection::<Document>("faces");
                faces.delete_one(doc! {}).await.unwrap();
                "a worker died before it told of a face that it deleted"
            }
            _ => {
                let groups = self.connection.faces.collection::<Document>("groups");
                groups.update_one(doc! { "into": null }, doc! { "$set": { "name": "Zed" } }).await.unwrap();
                let galleries = self.connection.faces.collection::<Document>("galleries");
                galleries.update_one(doc! {}, doc! { "$inc": { "generation": 1i64 } }).await.unwrap();
                "a release before wrote a group"
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gallery_that_is_followed_is_the_gallery_that_is_read() {
    for seed in seeds(24) {
        let mut rng = Rng(seed);
        let (connection, plain) = store("mongo", "", "copies").await;
        let follower = plain.clone().with_copies(GalleryCopies::of_all_sizes(usize::MAX));
        let mut world = World { connection, plain, photos: 0 };
        // Some look after each step, others seldom.
        let pause = 1 + usize::try_from(seed % 4).unwrap();
        let mut history = Vec::new();
        for step in 0..40 {
            history.push(world.step(&mut rng, &follower).await);
            if step % pause > 0 {
                continue;
            }
            let expected = world.plain.gallery(&gallery()).await.unwrap();
            let followed = follower.gallery(&gallery()).await.unwrap();
            assert_eq!(followed, expected, "seed {seed}: {history:#?}");
            much_later(&world.connection).await;
        }
        // It read what changed, and nothing else: what says of no time at which it changed is not seen.
        let before = follower.gallery(&gallery()).await.unwrap();
        much_later(&world.connection).await;
        if !before.faces.is_empty() {
            let faces = world.connection.faces.collection::<Document>("faces");
            faces.update_many(doc! {}, doc! { "$set": { "overall": 0.77 } }).await.unwrap();
            assert_eq!(follower.gallery(&gallery()).await.unwrap(), before, "seed {seed}");
            assert_ne!(world.plain.gallery(&gallery()).await.unwrap(), before, "seed {seed}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_grouping_of_a_gallery_that_is_followed_is_stored_as_it_was_made() {
    let (connection, plain) = store("mongo", "", "copies").await;
    let follower = plain.clone().with_copies(GalleryCopies::of_all_sizes(usize::MAX));
    commit(&plain, (0..500).map(|n| photo(n, 3)).collect()).await;
    let mut rng = Rng(5);
    // The first two change more than one transaction takes; the last one a little.
    for (round, moves) in [3_000, 3_000, 40].into_iter().enumerate() {
        let read = follower.gallery(&gallery()).await.unwrap();
        let made = regrouped(&mut rng, &read, moves, 300);
        commit(&plain, vec![photo(1_000 + round, 2)]).await;
        follower.save(&gallery(), read.version, &made).await.unwrap();
        let expected = plain.gallery(&gallery()).await.unwrap();
        assert_eq!(expected.previous, made.partition, "round {round}");
        much_later(&connection).await;
        commit(&plain, vec![photo(2_000 + round, 2)]).await;
        let (followed, expected) =
            (follower.gallery(&gallery()).await.unwrap(), plain.gallery(&gallery()).await.unwrap());
        assert_eq!(followed, expected, "round {round}");
    }
}
