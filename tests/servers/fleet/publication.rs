//! The groups of a gallery where others read them: what is there is what the database says, and only what changed is written.

use std::collections::{BTreeMap, BTreeSet};

use muster_actors::domain::gallery::GallerySnapshot;
use muster_actors::people::Correction;
use muster_actors::ports::faces::Faces;
use muster_aws::s3::S3Bucket;
use muster_config::{Layout, Secret};
use muster_stores::mongo::{Connection, MongoFaces, Scope, Uris};
use muster_worker::fleet::{Layouts, PublishingStore};
use serde_json::Value;

use super::stack;
use crate::people::copies::{much_later, regrouped};
use crate::people::{Rng, author, commit, gallery, photo, seeds};
use crate::support::fleet::Fleet;

const LAYOUTS: Layouts = Layouts { crops: Layout::Packed, results: Layout::Packed, groups_json: false };

/// A gallery, and where its groups are published.
struct Site {
    fleet: Fleet,
    connection: Connection,
    store: MongoFaces,
    published: PublishingStore,
}

impl Site {
    async fn open(layouts: Layouts) -> Self {
        let fleet = Fleet::new(&stack()).await;
        let [gallery_images, huemn] = ["gallery_images", "huemn"].map(|name| Secret::from(fleet.uri(name).as_str()));
        let connection = Connection::open(&Uris { gallery_images: &gallery_images, huemn: &huemn }).await.unwrap();
        connection.ensure_indexes(None).await.unwrap();
        let store = MongoFaces::new(&connection, None);
        let published = Self::published(&fleet, &store, layouts);
        Self { fleet, connection, store, published }
    }

    fn published(fleet: &Fleet, store: &MongoFaces, layouts: Layouts) -> PublishingStore {
        let bucket = S3Bucket::new(fleet.s3.clone(), &fleet.groups, "");
        PublishingStore::new(store.clone(), None, None, bucket, layouts, None)
    }

    async fn fill(&self, photos: std::ops::Range<usize>) {
        for numbers in photos.collect::<Vec<_>>().chunks(100) {
            commit(&self.store, numbers.iter().map(|n| photo(*n, 10)).collect()).await;
        }
    }

    async fn regroup(&self, rng: &mut Rng, moves: usize, groups: usize) {
        let now = self.store.gallery(&gallery()).await.unwrap();
        let made = regrouped(rng, &now, moves, groups);
        self.store.save(&gallery(), now.version, &made).await.unwrap();
    }

    async fn publish(&self) {
        self.published.publish(&gallery()).await.unwrap();
    }

    /// Objects of the gallery below a part of its keys, with their etags.
    async fn objects(&self, part: &str) -> BTreeMap<String, String> {
        let mut all = BTreeMap::new();
        let prefix = format!("galleries/{}/{part}", gallery());
        let mut pages =
            self.fleet.s3.list_objects_v2().bucket(&self.fleet.groups).prefix(prefix).into_paginator().send();
        while let Some(page) = pages.next().await {
            for object in page.unwrap().contents() {
                all.insert(object.key().unwrap().to_owned(), object.e_tag().unwrap().to_owned());
            }
        }
        all
    }

    /// Checks that what is published is what the database says.
    async fn check(&self, history: &[&str]) -> Value {
        let now = self.store.gallery(&gallery()).await.unwrap();
        let (index, groups) = self.fleet.published_groups(&gallery().0).await;
        assert_eq!(index["generation"].as_u64(), Some(now.version.generation), "{history:?}");
        assert_eq!(shown(&groups), expected(&now), "{history:?}");
        let grouped: usize = now.previous.groups.iter().map(|group| group.faces.len()).sum();
        let is_grouped = |face| now.previous.groups.iter().any(|group| group.faces.contains(face));
        let is_face = |face| now.facts.are_faces.get(face).copied().unwrap_or(!now.doubted.contains(face));
        let ids = now.faces.iter().map(|face| &face.id);
        let ungrouped = ids.filter(|face| !is_grouped(face) && is_face(face)).count();
        assert_eq!(
            (index["grouped"].as_u64(), index["ungrouped"].as_u64()),
            (Some(grouped as u64), Some(ungrouped as u64)),
            "{history:?}"
        );
        let named =
            index["shards"].as_array().unwrap().iter().map(|shard| shard["object"].as_str().unwrap().to_owned());
        let there: BTreeSet<String> = self.objects("groups/").await.into_keys().collect();
        assert_eq!(there, named.collect(), "nothing else is left: {history:?}");
        index
    }
}

/// Groups by id: name, cover and faces with their quality of position.
type Shown = BTreeMap<String, (Option<String>, String, Vec<String>)>;

fn shown(groups: &[Value]) -> Shown {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let group = |group: &Value| {
        let faces: Vec<String> =
            group["faces"].as_array().unwrap().iter().map(|face| text(&face["id"]).unwrap()).collect();
        assert_eq!(group["count"].as_u64(), Some(faces.len() as u64));
        (text(&group["id"]).unwrap(), (text(&group["name"]), text(&group["cover"]).unwrap(), faces))
    };
    groups.iter().map(group).collect()
}

fn expected(now: &GallerySnapshot) -> Shown {
    let groups = now.previous.groups.iter();
    let shown = groups.map(|group| {
        let faces = group.faces.iter().map(ToString::to_string).collect();
        (group.id.to_string(), (group.name.clone(), group.cover.to_string(), faces))
    });
    shown.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_published_is_what_the_database_says_and_only_what_changed_is_written() {
    for seed in seeds(1) {
        let mut rng = Rng(seed);
        let site = Site::open(LAYOUTS).await;
        site.fill(0..300).await;
        site.regroup(&mut rng, 4_000, 700).await;
        site.publish().await;
        let index = site.check(&["it was grouped"]).await;
        assert_eq!((index["digits"].as_u64(), index["shards"].as_array().map(Vec::len)), (Some(1), Some(16)));
        // What a publication left that did not come to its end.
        let left = format!("galleries/{}/groups/0-1-ab.json", gallery());
        let put = site.fleet.s3.put_object().bucket(&site.fleet.groups).key(&left).body(b"{}".to_vec().into());
        put.send().await.unwrap();
        let (mut photos, mut partial, mut history) = (300, 0, Vec::new());
        // Faces are deleted: everything is looked at again.
        commit(&site.store, vec![photo(7, 3)]).await;
        site.regroup(&mut rng, 0, 700).await;
        for _ in 0..24 {
            site.publish().await;
            let _ = site.check(&history).await;
            much_later(&site.connection).await;
            let before = site.objects("groups/").await;
            history.push(match rng.below(6) {
                0 => {
                    site.fill(photos..photos + 1).await;
                    photos += 1;
                    site.regroup(&mut rng, 5, 700).await;
                    "photos came"
                }
                1 => {
                    let now = site.store.gallery(&gallery()).await.unwrap();
                    let group = now.previous.groups[rng.below(now.previous.groups.len())].id;
                    let name = format!("N{}", history.len());
                    site.store.correct(&gallery(), &Correction::name(group, name), &author(5)).await.unwrap();
                    "somebody got a name"
                }
                2 => {
                    let now = site.store.gallery(&gallery()).await.unwrap();
                    let some = [(); 2].map(|()| now.previous.groups[rng.below(now.previous.groups.len())].id);
                    let merge = Correction::Merge(some.map(muster_actors::people::Member::Group).to_vec());
                    // The same one twice is refused.
                    let _ = site.store.correct(&gallery(), &merge, &author(6)).await;
                    "two were merged"
                }
                3 => {
                    let _ = site.store.undo(&gallery(), None, &author(7)).await;
                    "something was taken back"
                }
                4 => {
                    commit(&site.store, vec![photo(rng.below(photos), 9)]).await;
                    site.regroup(&mut rng, 2, 700).await;
                    "a photo lost a face"
                }
                _ => {
                    // The same faces, of which one is better now.
                    let mut again = photo(rng.below(photos), 10);
                    again.faces[0].quality.overall = 0.99;
                    commit(&site.store, vec![again]).await;
                    site.regroup(&mut rng, 2, 700).await;
                    "a photo came again"
                }
            });
            site.publish().await;
            let _ = site.check(&history).await;
            let after = site.objects("groups/").await;
            let stay = before.iter().filter(|(key, etag)| after.get(*key) == Some(etag)).count();
            partial += usize::from(stay > 0);
        }
        assert!(partial > 12, "seed {seed}: in {partial} of 24 steps some shards stayed as they were");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn publishers_at_once_leave_what_one_leaves() {
    let site = Site::open(LAYOUTS).await;
    let mut rng = Rng(9);
    site.fill(0..300).await;
    site.regroup(&mut rng, 4_000, 700).await;
    for round in 0..6 {
        let publishers: Vec<PublishingStore> =
            (0..4).map(|_| Site::published(&site.fleet, &site.store, LAYOUTS)).collect();
        let publishing = publishers.iter().map(|published| async {
            for _ in 0..2 {
                // One that loses against all others again and again says so.
                let _ = published.publish(&gallery()).await;
            }
        });
        let changing = async {
            for _ in 0..3 {
                let now = site.store.gallery(&gallery()).await.unwrap();
                let group = now.previous.groups[rng.below(now.previous.groups.len())].id;
                let name = format!("N{round}");
                site.store.correct(&gallery(), &Correction::name(group, name), &author(5)).await.unwrap();
                commit(&site.store, vec![photo(rng.below(300), 8 + rng.below(3))]).await;
            }
        };
        tokio::join!(futures_util::future::join_all(publishing), changing);
        site.regroup(&mut rng, 3, 700).await;
        site.publish().await;
        let _ = site.check(&["several published at once"]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_publisher_that_died_did_not_delete_is_deleted_by_whoever_comes_next() {
    let site = Site::open(LAYOUTS).await;
    let mut rng = Rng(4);
    site.fill(0..300).await;
    site.regroup(&mut rng, 4_000, 700).await;
    site.publish().await;
    let before: Vec<String> = site.objects("groups/").await.into_keys().collect();
    site.regroup(&mut rng, 3, 700).await;
    site.publish().await;
    let after = site.objects("groups/").await;
    let former: Vec<&String> = before.iter().filter(|key| !after.contains_key(*key)).collect();
    assert!(!former.is_empty());
    // As though it had died right after it wrote the index.
    let put_back = async || {
        for key in &former {
            let put = site.fleet.s3.put_object().bucket(&site.fleet.groups).key(*key).body(b"{}".to_vec().into());
            put.send().await.unwrap();
        }
    };
    put_back().await;
    site.publish().await;
    let _ = site.check(&["somebody asked again"]).await;
    put_back().await;
    site.regroup(&mut rng, 3, 700).await;
    site.publish().await;
    let _ = site.check(&["the gallery was grouped again"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_small_gallery_is_in_its_index_and_nothing_is_left_of_one_that_is_forgotten() {
    let site = Site::open(Layouts { groups_json: true, ..LAYOUTS }).await;
    let mut rng = Rng(3);
    site.fill(0..210).await;
    site.regroup(&mut rng, 3_000, 300).await;
    site.publish().await;
    assert_eq!(site.check(&[]).await["shards"].as_array().map(Vec::len), Some(16));
    let whole = async || {
        let text = site.fleet.object(&site.fleet.groups, &format!("galleries/{}/groups.json", gallery())).await;
        serde_json::from_slice::<Value>(&text).unwrap()
    };
    let now = site.store.gallery(&gallery()).await.unwrap();
    assert_eq!(shown(whole().await["groups"].as_array().unwrap()), expected(&now));
    assert_eq!(whole().await["generation"].as_u64(), Some(now.version.generation));

    // Most photos lose their faces; and nobody reads the one object any more.
    for n in 0..170 {
        commit(&site.store, vec![photo(n, 0)]).await;
    }
    site.regroup(&mut rng, 5, 300).await;
    let published = Site::published(&site.fleet, &site.store, LAYOUTS);
    published.publish(&gallery()).await.unwrap();
    let index = site.check(&[]).await;
    assert!(index["groups"].is_array() && index["digits"] == 0, "{index}");
    let key = |name: &str| format!("galleries/{}/{name}", gallery());
    assert_eq!(site.objects("").await.into_keys().collect::<Vec<_>>(), [key("index.json")]);

    site.store.bury(&gallery(), &Scope::Gallery).await.unwrap();
    published.publish(&gallery()).await.unwrap();
    assert_eq!(site.objects("").await, BTreeMap::new());
}
