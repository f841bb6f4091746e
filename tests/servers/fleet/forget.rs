//! What was forgotten is nowhere, nothing else is touched, and nothing comes back by itself.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use mongodb::bson::{Document, doc};
use serde_json::Value;

use super::faults::{attribute, letters};
use super::remains::{Own, Places, hex};
use super::{count, support};
use crate::support::fleet::{Worker, ended};

/// Every group keeps its id and its members.
fn assert_same(groups: &BTreeMap<String, Places>, expected: &BTreeMap<String, Places>) {
    for id in groups.keys().chain(expected.keys()) {
        assert_eq!(groups.get(id), expected.get(id), "{id}");
    }
}

fn within(groups: &BTreeMap<String, Places>, keep: impl Fn(&str, &str) -> bool) -> BTreeMap<String, Places> {
    let left = groups
        .iter()
        .map(|(id, places)| (id.clone(), places.iter().filter(|(key, _)| keep(id, key)).cloned().collect::<Places>()));
    left.filter(|(_, places)| places.len() > 1).collect()
}

/// The demo with the sheets of one person only: small faces of one sheet go to another group when one is gone.
fn photos() -> tempfile::TempDir {
    let (demo, folder) = (support::photos("demo"), tempfile::tempdir().unwrap());
    for entry in walkdir::WalkDir::new(&demo) {
        let path = entry.unwrap().into_path();
        let name = path.strip_prefix(&demo).unwrap();
        let sheet = name.to_str().unwrap().contains("_sheet") && !name.starts_with("P001");
        if path.is_file() && !sheet {
            std::fs::create_dir_all(folder.path().join(name).parent().unwrap()).unwrap();
            std::fs::copy(&path, folder.path().join(name)).unwrap();
        }
    }
    folder
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_forgotten_is_nowhere_stays_away_and_comes_back_when_that_is_taken_back() {
    let own = Own::new(1).await;
    let keys = own.fleet.upload(photos().path(), "demo/").await;
    own.index(&keys).await;
    let before = own.groups().await;
    let people = own.fleet.people().await;
    let image = "demo/P008/amateur_posture.jpg";
    let gone: BTreeSet<&str> =
        keys.iter().map(String::as_str).filter(|key| *key == image || key.starts_with("demo/P003/")).collect();
    let outside = |places: &Places| places.iter().filter(|(key, _)| !gone.contains(key.as_str())).count();
    let is_of = |places: &Places| places.iter().any(|(key, _)| key == "demo/P001/studio_portrait.jpg");
    let (group, _) = before.iter().find(|(_, places)| is_of(places)).unwrap();
    let mut signs = own.signs(&gone).await;
    let faces = own.all("faces").await;
    signs.faces(faces.iter().filter(|face| face.contains_key("group") && hex(face, "group") == *group));
    // What people said: of the person, of a face in the folder, and of somebody else.
    let group_of = |key: &str| before.iter().find(|(_, places)| places.iter().any(|(k, _)| k == key)).unwrap().0;
    let (folder, other) = (group_of("demo/P003/studio_portrait.jpg"), group_of("demo/P009/studio_portrait.jpg"));
    let of = |id: &str, n: usize| {
        let mut members = faces.iter().filter(|face| face.contains_key("group") && hex(face, "group") == *id);
        members.nth(n).unwrap().get("_id").unwrap().clone()
    };
    let decisions = [
        doc! { "say": "name", "a": of(group, 0), "name": "Ada Forgotten" },
        doc! { "say": "same", "a": of(folder, 0), "b": of(folder, 1) },
        doc! { "say": "name", "a": of(other, 0), "name": "Ben Stays" },
    ];
    own.say_as_before(&decisions, &[(group, "Ada Forgotten"), (other, "Ben Stays")]).await;
    own.group().await;
    assert_eq!(own.names().await, ["Ada Forgotten", "Ben Stays"]);
    signs.add(b"Ada Forgotten");

    // A release before wrote results beside the photos, and workers of another layout write them beside the groups.
    for bucket in [&own.fleet.photos, &own.fleet.groups] {
        let put = own.fleet.s3.put_object().bucket(bucket).key(format!("results/{image}.json"));
        put.body(b"{}".to_vec().into()).send().await.unwrap();
    }
    let receipts = [own.forget(&[&own.s3(image)]), own.forget(&[&own.s3("demo/P003/")]), own.forget(&[&group[..10]])];
    let [one, folder, person] = &receipts;
    assert_eq!((count(one, "images"), count(one, "tombstones"), count(one, "results")), (1, 1, 3), "{one:#}");
    assert_eq!(count(folder, "images"), gone.len() as u64 - 1, "{folder:#}");
    assert_eq!(count(person, "faces"), outside(&before[group]) as u64, "{person:#}");
    assert_eq!((count(person, "tombstones"), count(person, "crops")), (count(person, "faces"), count(person, "faces")));
    assert_eq!(person["groups"].as_array().unwrap(), &[Value::from(group.as_str())], "{person:#}");
    assert!(receipts.iter().all(|receipt| receipt["cache"] == "emptied"), "{receipts:#?}");
    let said: Vec<u64> = receipts.iter().map(|receipt| count(receipt, "decisions")).collect();
    // Whose two faces of the folder are, and of the person whose each face is, and the record.
    assert!(said[0] == 0 && said[1] >= 2, "{said:?}");
    assert_eq!((said[2], own.names().await), (1 + count(person, "faces"), vec!["Ben Stays".to_owned()]));
    let told = own.all("changes").await;
    assert_eq!(told.iter().map(|change| change.get_str("said").unwrap()).collect::<Vec<_>>(), ["forgotten"; 3]);
    own.assert_nowhere(&signs).await;
    assert!(!own.kept().await.iter().any(|(_, bytes)| bytes.windows(32).any(|part| part == group.as_bytes())));
    for image in own.fleet.documents("huemn", "images").await {
        let forgotten = gone.contains(image.get_str("key").unwrap());
        assert_eq!(image.get_str("status").unwrap() == "forgotten", forgotten, "{image}");
        assert!(!forgotten || image.get_i64("face_count").unwrap() == 0, "{image}");
    }
    for image in own.all("images").await {
        let faces = doc! { "image": image.get("_id").unwrap() };
        let stored = own.fleet.database("gallery_images").await.collection::<Document>("faces");
        let stored = stored.count_documents(faces).await.unwrap();
        assert_eq!(image.get_i64("face_count").unwrap(), stored as i64, "{image}");
        assert_eq!(image.get_str("state").unwrap() == "indexed", stored > 0, "{image}");
    }
    let left = within(&before, |id, key| id != group && !gone.contains(key));
    // Faces of a sheet that were in no group make one.
    let appeared: BTreeSet<&str> = person["appeared"].as_array().unwrap().iter().map(|g| g.as_str().unwrap()).collect();
    let others = own.groups().await;
    assert_same(&within(&others, |id, _| !appeared.contains(id)), &left);
    assert_eq!(own.fleet.published("demo").await.len(), others.len());

    let detected = own.index(&keys).await;
    assert_eq!(count(&detected, "rejected"), gone.len() as u64, "{detected:#}");
    own.assert_nowhere(&signs).await;
    assert_same(&own.groups().await, &others);
    let letters = letters(&own.fleet).await;
    let refused: BTreeSet<String> = letters.iter().map(|letter| letter.body.clone().unwrap()).collect();
    assert_eq!(refused, gone.iter().map(|key| own.fleet.event(key)).collect());
    assert!(letters.iter().all(|letter| attribute(letter, "reason") == "FORGOTTEN"));
    assert!(letters.iter().all(|letter| attribute(letter, "detail").contains("--lift")));

    for (target, lifted) in
        [(own.s3(image), 1), (own.s3("demo/P003/"), 1), (group.clone(), count(person, "tombstones"))]
    {
        assert_eq!(count(&own.forget(&[&target, "--lift"]), "lifted"), lifted, "{target}");
    }
    own.index(&keys).await;
    assert_eq!(own.fleet.people().await, people, "all is back");

    own.forget(&["--all"]);
    for collection in own.fleet.database("gallery_images").await.list_collection_names().await.unwrap() {
        let left = own.all(&collection).await;
        match collection.as_str() {
            "forgotten" => assert_eq!(left.len(), 1, "{left:?}"),
            // Objects that are deleted, as long as a worker that is late might put them again; nobody is named.
            "packs" => assert!(left.iter().all(|pack| pack.get_array("entries").unwrap().is_empty()), "{left:?}"),
            // Numbers that guard what is written next, and that nothing is to be brought over from a release before.
            "galleries" => {
                let numbers = ["_id", "additions", "facts", "generation", "grouped", "grouped_by", "marked"];
                assert_eq!(left[0].keys().map(String::as_str).collect::<BTreeSet<_>>(), numbers.into());
            }
            _ => assert_eq!(left, [], "{collection}"),
        }
    }
    assert!(own.fleet.documents("huemn", "images").await.iter().all(|i| i.get_str("status").unwrap() == "forgotten"));
    assert_eq!(own.keys(&own.fleet.groups).await, Vec::<String>::new());
    assert_eq!(own.keys(&own.fleet.photos).await.into_iter().collect::<BTreeSet<_>>(), keys.into_iter().collect());
    assert_eq!(own.cached().await, []);
    // A grouping message that was on its way does not publish it again.
    own.group().await;
    assert_eq!(own.keys(&own.fleet.groups).await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn images_forgotten_while_a_worker_is_writing_them_are_nowhere_when_it_has_ended() {
    let own = Own::new(2).await;
    let keys = own.fleet.upload(photos().path(), "demo/").await;
    own.index(&keys).await;
    let admin = own.fleet.database("gallery_images").await.client().database("admin");
    // Each write of the worker's waits at the server: what lies in S3 by then is not in MongoDB yet.
    let slow = doc! { "failCommands": ["update"], "appName": "racer", "blockConnection": true, "blockTimeMS": 1_500 };
    let slow = doc! { "configureFailPoint": "failCommand", "mode": "alwaysOn", "data": slow };
    for (folder, layout) in [("demo/P003/", "packed"), ("demo/P005/", "single"), ("demo/P007/", "packed")] {
        let gone: BTreeSet<&str> = keys.iter().map(String::as_str).filter(|key| key.starts_with(folder)).collect();
        let signs = own.signs(&gone).await;
        let objects = async || [own.keys(&own.fleet.photos).await, own.keys(&own.fleet.groups).await].concat();
        let before: BTreeSet<String> = objects().await.into_iter().collect();
        admin.run_command(slow.clone()).await.unwrap();
        own.fleet.send(keys.iter().map(|key| own.fleet.event(key))).await;
        let uri = own.fleet.uri("gallery_images").replace('?', "?appName=racer&");
        let mut worker = own.fleet.worker("detect");
        worker.env("MUSTER_BUCKETS__CROPS", layout).env("MUSTER_BUCKETS__RESULTS", layout);
        let worker = Worker::start(worker.env("REDIS_URL", &own.redis).env("GALLERY_IMAGES_MONGO_URI", uri));
        let patience = Instant::now() + Duration::from_secs(60);
        let awaited = if layout == "packed" { "packs/results/".to_owned() } else { format!("results/{folder}") };
        while !objects().await.iter().any(|key| key.starts_with(&awaited) && !before.contains(key)) {
            assert!(Instant::now() < patience, "nothing was written");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let receipt = own.forget(&[&own.s3(folder)]);
        assert_eq!(count(&receipt, "images"), gone.len() as u64, "{receipt:#}");
        ended(worker, 0);
        own.work("group");
        own.assert_nowhere(&signs).await;
    }
    admin.run_command(doc! { "configureFailPoint": "failCommand", "mode": "off" }).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_forgotten_says_why_and_what_was_half_forgotten_is_forgotten_when_it_is_repeated() {
    let own = Own::new(3).await;
    let keys = own.fleet.upload(&support::photos("demo").join("P001"), "demo/P001/").await;
    own.index(&keys).await;
    let (image, gone) = (own.s3(&keys[0]), support::NOWHERE);
    let closed = format!("http://{gone}");
    let refuse = |arguments: &[&str], change: Option<(&str, &str)>, code: i32, told: &str| {
        let output = support::run(own.command(arguments).envs(change), code);
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.contains(told), "{arguments:?} {change:?}: {text}");
    };
    refuse(&[&own.s3("demo/none.jpg")], None, 66, "nothing is known of s3://");
    refuse(&[&own.s3("demo/none/")], None, 66, "nothing is known of s3://");
    refuse(&["0123456789"], None, 66, "no group begins with 0123456789");
    refuse(&["0123456789abcdef0123456789abcdef"], None, 66, "no group begins with");
    refuse(&[&image, "--lift"], None, 66, "was not forgotten");
    refuse(&["01234567", "--lift"], None, 2, "whole id");
    refuse(&[], None, 2, "--all");
    refuse(&[&image, "--all"], None, 2, "--all");
    refuse(&["s3://bucket"], None, 2, "s3://BUCKET/KEY");
    refuse(&[&image], Some(("GALLERY_IMAGES_MONGO_URI", "")), 78, "GALLERY_IMAGES_MONGO_URI");
    refuse(&[&image], Some(("FACE_GROUP_BUCKET_NAME", "")), 78, "FACE_GROUP_BUCKET_NAME");
    refuse(&[&image], Some(("MUSTER_MODELS__PACK", "none")), 66, "model pack");
    refuse(&[&image], Some(("GALLERY_IMAGES_MONGO_URI", &format!("mongodb://{gone}/x"))), 81, "MongoDB");

    // The tombstone is written, and then S3 is away.
    refuse(&[&image], Some(("AWS_ENDPOINT_URL", &closed)), 81, "ListObjectsV2");
    assert_eq!(own.all("images").await.len(), keys.len());
    let receipt = own.forget(&[&image]);
    assert_eq!((count(&receipt, "images"), count(&receipt, "tombstones")), (1, 0), "{receipt:#}");
    let receipt = own.forget(&[&image]);
    assert_eq!((count(&receipt, "images"), count(&receipt, "faces")), (0, 0), "nothing is left: {receipt:#}");

    let away = own.command(&[&own.s3(&keys[1])]).env("REDIS_URL", format!("redis://{gone}/")).output().unwrap();
    let receipt: Value = serde_json::from_slice(&away.stdout).unwrap();
    assert_eq!((away.status.code(), &receipt["cache"], count(&receipt, "images")), (Some(0), &"away".into(), 1));
    let told = support::run(
        own.fleet
            .muster()
            .args(["forget", &own.s3(&keys[1]), "--gallery", "demo"])
            .env("REDIS_URL", format!("redis://{gone}/")),
        0,
    );
    let told = String::from_utf8(told.stdout).unwrap();
    assert!(told.contains("did not answer") && told.contains("within 1.0 h"), "{told}");

    let versions = aws_sdk_s3::types::VersioningConfiguration::builder()
        .status(aws_sdk_s3::types::BucketVersioningStatus::Enabled)
        .build();
    let asked = own.fleet.s3.put_bucket_versioning().bucket(&own.fleet.groups).versioning_configuration(versions);
    asked.send().await.unwrap();
    assert_eq!(receipt["versions_stay"], false);
    let receipt = own.forget(&[&own.s3("demo/")]);
    assert_eq!(receipt["versions_stay"], true, "{receipt:#}");
}
