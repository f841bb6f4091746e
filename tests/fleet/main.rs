//! The fleet's workers as processes, against real servers, on real photos.
#![cfg(feature = "cloud")]

#[path = "../support/mod.rs"]
mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;
use support::fleet::{Fleet, People};
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
        let photo = std::path::Path::new(face["path"].as_str().unwrap());
        let photo = photo.strip_prefix(folder).unwrap_or(photo);
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
    let detected = fleet.work("detect");
    assert_eq!(count(&detected, "fetched"), keys.len() as u64, "{detected:#}");
    let grouped = fleet.work("group");
    assert!(count(&grouped, "grouped") >= 1, "{grouped:#}");
    let (people, expected) = (fleet.people().await, on_a_laptop(&demo, "demo/"));
    let groups = people.iter().filter(|group| group.len() > 1).cloned().collect::<People>();
    println!("detect: {} images, {} faces", count(&detected, "fetched"), count(&detected, "faces"));
    println!("groups: {} in MongoDB, {} faces in none", groups.len(), people.len() - groups.len());
    assert_eq!(people, expected);
    assert_eq!(fleet.published("demo").await, groups);
    assert_eq!(fleet.depth(&fleet.images).await, (0, 0));
    assert_eq!(fleet.depth(&fleet.galleries).await, (0, 0));
}
