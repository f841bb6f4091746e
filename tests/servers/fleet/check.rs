//! `muster check` of a fleet: every dependency, with the mend for each fault, and the exit code of the error table.

use mongodb::bson::{Document, doc};
use serde_json::Value;

use super::{stack, support};
use crate::support::fleet::Fleet;

fn check(fleet: &Fleet, code: i32, changes: &[(&str, &str)]) -> Vec<(String, String, String)> {
    let output = support::run(fleet.muster().args(["check", "--json"]).envs(changes.iter().copied()), code);
    let findings: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    let text = |finding: &Value, key: &str| finding[key].as_str().unwrap_or_default().to_owned();
    findings.iter().map(|f| (text(f, "what"), text(f, "state"), text(f, "mend"))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn check_names_each_fault_of_a_fleet_with_its_mend_and_exits_by_the_error_table() {
    let fleet = Fleet::new(&stack()).await;
    let all = check(&fleet, 0, &[]);
    let states: Vec<(&str, &str)> = all.iter().map(|(what, state, _)| (what.as_str(), state.as_str())).collect();
    for what in [
        "clock",
        "queue of images",
        "queue of galleries",
        "dead letters",
        "bucket of images",
        "bucket of groups",
        "bucket of results",
        "mongodb",
        "redis",
    ] {
        assert!(states.contains(&(what, "ok")), "{what} in {all:?}");
    }
    assert!(states.contains(&("indexes", "missing")), "nobody has started yet: {all:?}");
    let gone = support::NOWHERE;
    for (variable, value, what, state, mend, code) in [
        ("QUEUE_URL", format!("{}-none", fleet.images), "queue of images", "broken", "correct its name", 78),
        ("QUEUE_URL", String::new(), "queue of images", "broken", "set QUEUE_URL", 78),
        ("BUCKET_NAME", "nobodys-bucket".to_owned(), "bucket of images", "broken", "", 78),
        ("GALLERY_IMAGES_MONGO_URI", format!("mongodb://{gone}/x"), "mongodb", "broken", "network", 81),
        ("GALLERY_IMAGES_MONGO_URI", "nonsense".to_owned(), "mongodb", "broken", "connection string", 78),
        // S3 would tell the queue of images of each result.
        ("MUSTER_BUCKETS__RESULTS_BUCKET", fleet.photos.clone(), "bucket of results", "missing", "another bucket", 0),
        ("FACE_GROUP_BUCKET_NAME", fleet.photos.clone(), "bucket of results", "missing", "another bucket", 0),
        (
            "MUSTER_BUCKETS__RESULTS_BUCKET",
            "nobodys-bucket".to_owned(),
            "bucket of results",
            "broken",
            "correct its name",
            78,
        ),
        ("AWS_ENDPOINT_URL", format!("http://{gone}"), "dead letters", "broken", "network", 81),
        ("REDIS_URL", format!("redis://{gone}/"), "redis", "missing", "goes on without it", 0),
        ("MUSTER_MODELS__PACK", format!("s3://{}/none", fleet.photos), "models", "broken", "upload the pack", 66),
        ("MUSTER_MODELS__PACK", "s3://nobodys-bucket/none".to_owned(), "models", "broken", "upload the pack", 78),
        ("REDIS_URL", "nonsense".to_owned(), "redis", "broken", "correct REDIS_URL", 78),
    ] {
        let findings = check(&fleet, code, &[("MUSTER_BUCKETS__RESULTS", "single"), (variable, &value)]);
        let found = findings.iter().find(|(of, ..)| of == what).unwrap();
        assert!(found.1 == state && found.2.contains(mend), "{variable}={value}: {found:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_groups_needs_no_images() {
    let fleet = Fleet::new(&stack()).await;
    let none = format!("{}-none", fleet.images);
    let all =
        check(&fleet, 0, &[("SERVICE_TYPE", "grouping"), ("QUEUE_URL", &none), ("BUCKET_NAME", "nobodys-bucket")]);
    assert!(all.iter().all(|(what, ..)| !what.contains("images")), "{all:?}");
    assert!(all.iter().any(|(what, state, _)| what == "queue of galleries" && state == "ok"), "{all:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_of_another_program_are_told_and_keep_no_worker_from_starting() {
    let fleet = Fleet::new(&stack()).await;
    let images = fleet.database("gallery_images").await.collection::<Document>("images");
    let old = |n: i32| doc! { "gallery_id": "demo", "image_key": format!("{n}.jpg"), "status": "done" };
    images.insert_many([old(1), old(2)]).await.unwrap();
    let detail = || {
        let output = support::run(fleet.muster().args(["check", "--json"]), 0);
        let findings: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
        let found = findings.into_iter().find(|finding| finding["what"] == "other documents").unwrap();
        assert_eq!(found["state"], "ok", "{found}");
        found["detail"].as_str().unwrap().to_owned()
    };
    assert!(detail().contains("2 in images"), "{}", detail());
    fleet.work("detect");
    assert!(detail().contains("2 in images"), "{}", detail());
    assert_eq!(images.count_documents(doc! {}).await.unwrap(), 2);
}
