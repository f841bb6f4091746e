//! Crops and results of many photos in one object: read, found beside those of releases before, put once, and forgotten.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use futures_util::TryStreamExt;
use mongodb::bson::spec::BinarySubtype;
use mongodb::bson::{Binary, DateTime, Document, doc};
use serde_json::Value;

use super::remains::{Own, hex};
use super::{count, support};
use crate::support::fleet::{Worker, ended};

/// A range of an object of the bucket of groups.
type Range = (String, usize, usize);

fn number(value: &Value) -> usize {
    usize::try_from(value.as_u64().unwrap()).unwrap()
}

impl Own {
    fn detector(&self, layout: &str) -> Command {
        let mut detector = self.fleet.worker("detect");
        detector.env("REDIS_URL", &self.redis);
        detector.env("MUSTER_BUCKETS__CROPS", layout).env("MUSTER_BUCKETS__RESULTS", layout);
        detector
    }

    async fn index_as(&self, layout: &str, keys: &[&String]) -> Value {
        self.fleet.send(keys.iter().map(|key| self.fleet.event(key))).await;
        let detected = ended(Worker::start(&mut self.detector(layout)), 0);
        self.work("group");
        detected
    }

    /// Where the published groups say that each face's crop lies: under a key of its own, or in a pack.
    async fn published_crops(&self) -> BTreeMap<String, Value> {
        let (_, groups) = self.fleet.published_groups("demo").await;
        let faces = groups.iter().flat_map(|group| group["faces"].as_array().unwrap());
        faces.map(|face| (face["id"].as_str().unwrap().to_owned(), face["crop"].clone())).collect()
    }

    async fn bytes_at(&self, (pack, offset, length): &Range) -> Vec<u8> {
        let range = format!("bytes={offset}-{}", offset + length - 1);
        let asked = self.fleet.s3.get_object().bucket(&self.fleet.groups).key(pack).range(range);
        asked.send().await.unwrap().body.collect().await.unwrap().to_vec()
    }

    async fn crop_at(&self, place: &Value) -> Vec<u8> {
        match place {
            Value::String(key) => self.fleet.object(&self.fleet.groups, key).await,
            place => {
                let range = (number(&place["offset"]), number(&place["length"]));
                self.bytes_at(&(place["object"].as_str().unwrap().to_owned(), range.0, range.1)).await
            }
        }
    }

    /// Documents of MongoDB as they are, by the key of their photo.
    async fn ranges(&self, collection: &str, field: &str) -> BTreeMap<String, Vec<Range>> {
        let database = self.fleet.database("gallery_images").await;
        let all = async |name: &str| {
            let found = database.collection::<Document>(name).find(doc! {}).await.unwrap();
            found.try_collect::<Vec<_>>().await.unwrap()
        };
        let image = |document: &Document| (hex(document, "_id"), document.get_str("key").unwrap().to_owned());
        let keys: BTreeMap<String, String> = all("images").await.iter().map(image).collect();
        let mut ranges = BTreeMap::<String, Vec<Range>>::new();
        for document in all(collection).await {
            let id = hex(&document, if collection == "images" { "_id" } else { "image" });
            if let Ok(range) = document.get_document(field) {
                let part = |name: &str| usize::try_from(range.get_i64(name).unwrap()).unwrap();
                let range = (range.get_str("pack").unwrap().to_owned(), part("offset"), part("length"));
                ranges.entry(keys[&id].clone()).or_default().push(range);
            }
        }
        ranges
    }

    async fn keys_below(&self, prefix: &str) -> BTreeSet<String> {
        let keys = [self.keys(&self.fleet.groups).await, self.keys(&self.fleet.photos).await].concat();
        keys.into_iter().filter(|key| key.starts_with(prefix)).collect()
    }
}

/// Photos of two people, and whose they are.
async fn uploaded(own: &Own) -> (Vec<String>, Vec<String>) {
    let upload = async |person: &str| {
        let folder: &Path = &support::photos("demo").join(person);
        let mut keys = own.fleet.upload(folder, &format!("demo/{person}/")).await;
        keys.retain(|key| !key.contains("_sheet"));
        keys
    };
    (upload("P001").await, upload("P002").await)
}

#[tokio::test(flavor = "multi_thread")]
async fn photos_of_both_layouts_are_read_and_forgotten() {
    let own = Own::new(4).await;
    let (old, new) = uploaded(&own).await;
    own.index_as("single", &Vec::from_iter(&old)).await;
    let before = own.published_crops().await;
    assert!(!before.is_empty() && before.values().all(Value::is_string), "{before:?}");
    assert_eq!(own.keys_below("packs/").await, BTreeSet::new());
    assert_eq!(own.keys_below("results/").await.len(), old.len());

    own.index_as("packed", &Vec::from_iter(&new)).await;
    let after = own.published_crops().await;
    let packed = after.values().filter(|place| place.is_object()).count();
    assert!(packed > 0 && before.iter().all(|(face, place)| after[face] == *place), "{after:?}");
    for place in after.values() {
        // A JPEG file from its first marker to its last.
        let crop = own.crop_at(place).await;
        assert!(crop.starts_with(&[0xff, 0xd8, 0xff]) && crop.ends_with(&[0xff, 0xd9]), "{place}");
    }
    assert_eq!(own.keys_below("results/").await.len(), old.len(), "no result under a key of its own is new");
    let results = own.ranges("images", "result").await;
    let crops = own.ranges("faces", "crop").await;
    assert_eq!(results.keys().collect::<Vec<_>>(), new.iter().collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>());
    for (key, result) in &results {
        let result: Value = serde_json::from_slice(&own.bytes_at(&result[0]).await).unwrap();
        assert_eq!(
            (&result["format"], result["image"]["locator"]["key"].as_str()),
            (&Value::from(2), Some(key.as_str()))
        );
        let said: BTreeSet<Range> = result["faces"]
            .as_array()
            .unwrap()
            .iter()
            .map(|face| &face["crop"])
            .map(|place| {
                (place["object"].as_str().unwrap().to_owned(), number(&place["offset"]), number(&place["length"]))
            })
            .collect();
        assert_eq!(said, crops[key].iter().cloned().collect(), "{key}");
    }

    // One photo of a pack: its bytes are gone, all others are where they were.
    let (gone, left) = new.split_first().unwrap();
    let mut others = BTreeMap::new();
    for range in left.iter().flat_map(|key| crops[key].iter().chain(&results[key])) {
        others.insert(range.clone(), own.bytes_at(range).await);
    }
    let receipt = own.forget(&[&own.s3(gone)]);
    let counts =
        ["crops", "results", "packs_rewritten", "packs_deleted", "packs_awaited"].map(|of| count(&receipt, of));
    assert_eq!(counts, [crops[gone].len() as u64, 1, 2, 0, 0], "{receipt:#}");
    assert_eq!(receipt["bytes_gone"], true, "{receipt:#}");
    for (range, filler) in [(&crops[gone][0], 0), (&results[gone][0], b' ')] {
        assert_eq!(own.bytes_at(range).await, vec![filler; range.2], "{range:?}");
    }
    for (range, bytes) in &others {
        assert_eq!(own.bytes_at(range).await, *bytes, "{range:?}");
    }

    // One photo of the release before.
    let receipt = own.forget(&[&own.s3(&old[0])]);
    assert_eq!((count(&receipt, "results"), count(&receipt, "packs_rewritten")), (1, 0), "{receipt:#}");
    assert_eq!(own.keys_below("results/").await.len(), old.len() - 1);
    assert!(count(&receipt, "crops") > 0 && receipt["bytes_gone"] == true, "{receipt:#}");

    let receipt = own.forget(&[&own.s3("demo/P002/")]);
    assert_eq!((count(&receipt, "packs_rewritten"), count(&receipt, "packs_deleted")), (0, 2), "{receipt:#}");
    assert_eq!(own.keys_below("packs/").await, BTreeSet::new());
}

/// The database refuses faces so many times, and takes everything else.
async fn refuse_faces(own: &Own, times: i32) {
    let database = own.fleet.database("gallery_images").await;
    let faces = format!("{}.faces", database.name());
    // ShutdownInProgress: the driver tries once more, and the worker after that.
    let data = doc! { "failCommands": ["update"], "namespace": faces, "appName": "refused", "errorCode": 91 };
    let fail = doc! { "configureFailPoint": "failCommand", "mode": { "times": times }, "data": data };
    database.client().database("admin").run_command(fail).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bulk_that_the_database_refuses_is_put_once() {
    for layout in ["packed", "single"] {
        let own = Own::new(if layout == "packed" { 5 } else { 6 }).await;
        let (mut keys, more) = uploaded(&own).await;
        keys.extend(more);
        own.fleet.send(keys.iter().map(|key| own.fleet.event(key))).await;
        refuse_faces(&own, 4).await;
        let uri = own.fleet.uri("gallery_images").replace('?', "?appName=refused&");
        let detected = ended(Worker::start(own.detector(layout).env("GALLERY_IMAGES_MONGO_URI", uri)), 0);
        let off = doc! { "configureFailPoint": "failCommand", "mode": "off" };
        own.fleet.database("gallery_images").await.client().database("admin").run_command(off).await.unwrap();
        assert_eq!(count(&detected, "fetched"), keys.len() as u64, "{detected:#}");
        let objects = match layout {
            "packed" => own.keys_below("packs/").await.len(),
            _ => own.keys_below("results/").await.len() + own.keys_below("galleries/").await.len(),
        };
        let writes = count(&detected["cost"]["requests"], "writes");
        assert_eq!(writes, objects as u64, "{layout}: {detected:#}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pack_of_a_worker_that_died_is_deleted_after_a_day() {
    let own = Own::new(7).await;
    let packs = own.fleet.database("gallery_images").await.collection::<Document>("packs");
    let id = |n: u8| Binary { subtype: BinarySubtype::Uuid, bytes: vec![n; 16] };
    // Announced and put, but never claimed, a day and more ago; the same an hour ago; and one that is in use.
    for (name, hours, is_written) in [("died", 25, false), ("on-its-way", 1, false), ("used", 25, true)] {
        let key = format!("packs/crops/{name}");
        let bbox = doc! { "x": 1.0, "y": 1.0, "width": 9.0, "height": 9.0 };
        let faces = [doc! { "id": id(2), "box": bbox }];
        let entry = doc! { "gallery": "demo", "image": id(1), "offset": 0i64, "length": 4i64, "faces": faces };
        let at = DateTime::from_system_time(SystemTime::now() - Duration::from_secs(hours * 3600));
        let mut pack = doc! { "_id": &key, "kind": "crops", "entries": [entry], "at": at };
        if is_written {
            pack.insert("written", true);
        }
        packs.insert_one(pack).await.unwrap();
        let bucket = &own.fleet.groups;
        own.fleet.s3.put_object().bucket(bucket).key(&key).body(b"crop".to_vec().into()).send().await.unwrap();
    }
    own.work("group");
    let left = BTreeSet::from(["packs/crops/on-its-way".to_owned(), "packs/crops/used".to_owned()]);
    assert_eq!(own.keys_below("packs/").await, left);
    let found: Vec<Document> = packs.find(doc! {}).await.unwrap().try_collect().await.unwrap();
    assert_eq!(found.iter().map(|pack| pack.get_str("_id").unwrap().to_owned()).collect::<BTreeSet<_>>(), left);
}
