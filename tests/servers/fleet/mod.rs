//! The fleet's workers as processes, against real servers, on real photos.

use crate::support;

mod cache;
mod check;
mod cutover;
mod faults;
mod forget;
mod host;
mod outages;
mod packs;
mod prefilter;
mod publication;
mod remains;
mod removals;
mod strategies;
mod traces;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use mongodb::bson::{Document, doc, serialize_to_vec};
use serde_json::Value;
use support::fleet::{Fleet, People, Worker, ended};
use support::stack::Stack;

fn stack() -> Arc<Stack> {
    static STACK: std::sync::OnceLock<Arc<Stack>> = std::sync::OnceLock::new();
    Arc::clone(STACK.get_or_init(|| Arc::new(Stack::start(&["mongo", "redis", "aws"]))))
}

/// The groups that `muster index` finds in a folder.
fn on_a_laptop(folder: &std::path::Path, prefix: &str) -> People {
    let library = tempfile::tempdir().unwrap();
    support::index(folder, library.path());
    let exported: Value = serde_json::from_slice(&support::export(library.path())).unwrap();
    let mut people: BTreeMap<String, BTreeSet<_>> = BTreeMap::new();
    for face in exported["faces"].as_array().unwrap() {
        let part = |name: &str| face["box"][name].as_f64().unwrap().round() as i64;
        // Relative to the folder that holds the library, where the photo lies below that.
        let photo = library.path().parent().unwrap().join(face["path"].as_str().unwrap());
        let photo = photo.strip_prefix(folder).unwrap();
        let group = face["group"].as_str().map_or_else(|| format!("alone {}", face["id"]), str::to_owned);
        let place = (format!("{prefix}{}", photo.display()), ["x", "y", "width", "height"].map(part));
        people.entry(group).or_default().insert(place);
    }
    people.into_values().collect()
}

fn count(summary: &Value, key: &str) -> u64 {
    summary[key].as_u64().unwrap_or_else(|| panic!("{key} is not a count in {summary:#}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_fleet_finds_the_people_that_a_laptop_finds() {
    let fleet = Fleet::new(&stack()).await;
    let demo = support::photos("demo");
    let keys = fleet.upload(&demo, "demo/").await;
    fleet.send(keys.iter().map(|key| fleet.event(key))).await;
    // Without the cache, in which others have left what they found in these photos.
    let detected = ended(Worker::start(fleet.worker("detect").env("REDIS_URL", "")), 0);
    assert_eq!(count(&detected, "fetched"), keys.len() as u64, "{detected:#}");
    let images = fleet.database("gallery_images").await.collection::<Document>("images");
    // The counted requests are those that S3 saw: a write for each object, and a read for each photo.
    let written = async |bucket: &str, prefix: &str| {
        let listed = fleet.s3.list_objects_v2().bucket(bucket).prefix(prefix).send().await.unwrap();
        assert_eq!(listed.is_truncated(), Some(false));
        listed.contents().len() as u64
    };
    let requests = &detected["cost"]["requests"];
    assert_eq!(count(requests, "writes"), written(&fleet.groups, "packs/").await, "{detected:#}");
    assert_eq!(written(&fleet.photos, "results/").await + written(&fleet.groups, "galleries/").await, 0);
    assert_eq!(count(requests, "reads"), keys.len() as u64, "{detected:#}");
    let mut images = images.find(doc! {}).await.unwrap();
    while images.advance().await.unwrap() {
        let image = images.deserialize_current().unwrap();
        let timings = image.get_document("timings").unwrap();
        let [total, stages @ ..] =
            ["total", "download", "decode", "analyse"].map(|stage| timings.get_f64(stage).unwrap());
        assert!(stages.iter().all(|time| *time > 0.0) && stages.iter().sum::<f64>() <= total, "{timings}");
    }
    let grouped = fleet.work("group");
    assert!(count(&grouped, "grouped") >= 1, "{grouped:#}");
    // Both workers' requests, beside those that `scale --simulate` counts with.
    let cost = muster_config::Layers::defaults().settings().unwrap().cost;
    for (of, counted_with, most) in [
        // Each grouping reads the index of what was published, and a slow machine groups more than once.
        ("reads", cost.reads_per_image, cost.reads_per_image + 5.0 / keys.len() as f64),
        // One more bulk on a slow machine is two more objects of the 63 photos.
        ("writes", cost.writes_per_image, 0.1),
        // These workers ask an empty queue each second, where others ask each twentieth.
        ("messages", cost.messages_per_image, cost.messages_per_image + 20.0 / keys.len() as f64),
    ] {
        let all = count(requests, of) + count(&grouped["cost"]["requests"], of);
        let each = all as f64 / keys.len() as f64;
        println!("{of}: {all}, {each:.3} an image; simulations count with {counted_with}");
        assert!(each <= most, "{of}: {each} an image, where {most} are allowed");
    }
    let (people, expected) = (fleet.people().await, on_a_laptop(&demo, "demo/"));
    let groups = people.iter().filter(|group| group.len() > 1).cloned().collect::<People>();
    println!("detect: {} images, {} faces", count(&detected, "fetched"), count(&detected, "faces"));
    println!("groups: {} in MongoDB, {} faces in none", groups.len(), people.len() - groups.len());
    assert_eq!(people, expected);
    assert_eq!(fleet.published("demo").await, groups);
    assert_eq!(fleet.depth(&fleet.images).await, (0, 0));
    assert_eq!(fleet.depth(&fleet.galleries).await, (0, 0));
}

/// Everything a run leaves in the databases that a person or a program reads.
async fn collections(fleet: &Fleet) -> Vec<(&'static str, Vec<Document>)> {
    let mut all = Vec::new();
    for (database, collection) in
        [("gallery_images", "images"), ("gallery_images", "faces"), ("gallery_images", "groups"), ("huemn", "images")]
    {
        all.push((collection, fleet.documents(database, collection).await));
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_sent_three_times_to_two_workers_leave_what_one_worker_leaves_of_messages_sent_once() {
    let fleet = Fleet::new(&stack()).await;
    let keys = fleet.upload(&support::photos("demo"), "demo/").await;
    fleet.send(keys.iter().map(|key| fleet.event(key))).await;
    fleet.work("detect");
    fleet.work("group");
    let once = collections(&fleet).await;
    let groups = fleet.published("demo").await;

    for database in ["gallery_images", "huemn"] {
        fleet.database(database).await.drop().await.unwrap();
    }
    fleet.send((0..3).flat_map(|_| keys.iter().map(|key| fleet.event(key)))).await;
    let workers = [(); 2].map(|()| Worker::start(&mut fleet.worker("detect")));
    let fetched: u64 = workers.map(|worker| count(&ended(worker, 0), "fetched")).iter().sum();
    assert!(fetched >= 3 * keys.len() as u64, "{fetched}");
    for grouper in [(); 2].map(|()| Worker::start(&mut fleet.worker("group"))) {
        ended(grouper, 0);
    }
    for ((name, once), (_, again)) in once.iter().zip(collections(&fleet).await) {
        assert_eq!(once.len(), again.len(), "{name}");
        for (once, again) in once.iter().zip(again) {
            assert_eq!(serialize_to_vec(once).unwrap(), serialize_to_vec(&again).unwrap(), "{once} {again}");
        }
    }
    assert_eq!(fleet.published("demo").await, groups);
    assert_eq!((fleet.depth(&fleet.images).await, fleet.depth(&fleet.dead_letters).await), ((0, 0), (0, 0)));

    // While faces are still coming, groups get their ids from the faces that are there, and keep them: the people are the same.
    for database in ["gallery_images", "huemn"] {
        fleet.database(database).await.drop().await.unwrap();
    }
    fleet.send((0..3).flat_map(|_| keys.iter().map(|key| fleet.event(key)))).await;
    for worker in ["detect", "group", "detect", "group"].map(|command| Worker::start(&mut fleet.worker(command))) {
        ended(worker, 0);
    }
    // Groupers that left before the last faces came; what they left is still asked for.
    fleet.work("group");
    let faces = |all: &[(&str, Vec<Document>)]| {
        let mut faces = all.iter().find(|(name, _)| *name == "faces").unwrap().1.clone();
        faces.iter_mut().for_each(|face| drop(face.remove("group")));
        faces
    };
    assert_eq!(faces(&collections(&fleet).await), faces(&once));
    assert_eq!(fleet.published("demo").await, groups);
}
