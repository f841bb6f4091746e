//! What goes wrong around a worker: bad messages, bad objects, signals.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use aws_sdk_sqs::types::Message;
use muster_chaos::proxy::Proxy;
use serde_json::json;

use super::{count, stack, support};
use crate::support::fleet::{Fleet, Worker, ended};

pub(crate) async fn letters(fleet: &Fleet) -> Vec<Message> {
    let mut all = Vec::new();
    loop {
        let asked = fleet.sqs.receive_message().queue_url(&fleet.dead_letters).max_number_of_messages(10);
        let got = asked.message_attribute_names("All").send().await.unwrap().messages.unwrap_or_default();
        if got.is_empty() {
            return all;
        }
        all.extend(got);
    }
}

pub(crate) fn attribute(letter: &Message, name: &str) -> String {
    letter.message_attributes.as_ref().unwrap()[name].string_value.clone().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_messages_and_bad_objects_go_to_the_dead_letters_with_their_reasons_and_nothing_else_does() {
    let fleet = Fleet::new(&stack()).await;
    let good = fleet.upload(&support::photos("demo").join("P001"), "demo/").await;
    let whole = std::fs::read(support::photos("demo").join("astronaut.png")).unwrap();
    let jpeg = fleet.object(&fleet.photos, &good[0]).await;
    // A photo whose header claims 65,500 × 65,500 pixels (JPEG: height and width stand five bytes behind a frame's marker).
    let frame = jpeg.windows(2).position(|bytes| bytes[0] == 0xff && (0xc0..=0xc2).contains(&bytes[1])).unwrap();
    let mut bomb = jpeg.clone();
    bomb[frame + 5..frame + 9].copy_from_slice(&[0xff, 0xdc, 0xff, 0xdc]);
    let mut expected: BTreeMap<String, &str> = BTreeMap::new();
    let mut bodies: Vec<String> = Vec::new();
    for n in 0..20 {
        // Bodies: text, broken JSON, wrong shapes, another service's event, a broken escape.
        let body = match n % 5 {
            0 => format!("not JSON {n}"),
            1 => format!("{{\"bucket\": \"b\", \"n\": {n}"),
            2 => json!({ "bucket": "b", "n": n }).to_string(),
            3 => json!({ "Records": [{ "eventSource": "aws:sns", "n": n }] }).to_string(),
            _ => json!({ "Records": [{ "s3": { "bucket": { "name": "b" }, "object": { "key": format!("{n}%4") } } }] })
                .to_string(),
        };
        expected.insert(body.clone(), "BAD_MESSAGE");
        bodies.push(body);
        // Objects: missing, empty, no image, cut off, damaged, a bomb.
        let key = format!("demo/bad/{n}.jpg");
        let reason = match n % 6 {
            0 => "MISSING",
            1 => {
                fleet.put(&key, Vec::new()).await;
                "EMPTY"
            }
            2 => {
                fleet.put(&key, b"no image at all".repeat(9)).await;
                "UNKNOWN_FORMAT"
            }
            3 => {
                fleet.put(&key, jpeg[..jpeg.len() / 2].to_vec()).await;
                "TRUNCATED"
            }
            4 => {
                fleet.put(&key, whole[..whole.len() / 3].to_vec()).await;
                "TRUNCATED"
            }
            _ => {
                fleet.put(&key, bomb.clone()).await;
                "TOO_MANY_PIXELS"
            }
        };
        expected.insert(fleet.event(&key), reason);
        bodies.push(fleet.event(&key));
    }
    bodies.extend(good.iter().map(|key| fleet.event(key)));
    bodies.push(json!({ "Service": "Amazon S3", "Event": "s3:TestEvent" }).to_string());
    fleet.send(bodies).await;
    let summary = fleet.work("detect");
    let letters = letters(&fleet).await;
    let reasons: BTreeMap<String, String> =
        letters.iter().map(|letter| (letter.body.clone().unwrap(), attribute(letter, "reason"))).collect();
    assert_eq!(letters.len(), reasons.len(), "each once");
    let expected: BTreeMap<String, String> = expected.into_iter().map(|(body, why)| (body, why.to_owned())).collect();
    let wrong: Vec<_> = expected.iter().map(|(body, why)| (body, why, reasons.get(body))).collect();
    let wrong: Vec<_> = wrong.into_iter().filter(|(_, why, got)| Some(*why) != *got).collect();
    assert!(wrong.is_empty() && reasons.len() == expected.len(), "{wrong:#?}");
    for letter in &letters {
        assert_eq!(attribute(letter, "origin"), fleet.images);
        assert!(!attribute(letter, "detail").is_empty());
    }
    assert_eq!((count(&summary, "rejected"), count(&summary, "indexed")), (40, good.len() as u64), "{summary:#}");
    assert_eq!(fleet.depth(&fleet.images).await, (0, 0));
    // What was rejected after it was found has its record; what could not be read names no image.
    let rejected = fleet.documents("gallery_images", "images").await;
    let rejected = rejected.iter().filter(|image| image.get_str("state").unwrap() == "rejected").count();
    assert_eq!(rejected, 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_names_a_bucket_that_is_not_there_is_rejected_and_the_others_are_worked_on() {
    let fleet = Fleet::new(&stack()).await;
    let keys = fleet.upload(&support::photos("demo").join("P001"), "demo/").await;
    let elsewhere = |n: usize| json!({ "bucket": "nobodys-bucket", "key": format!("{n}.jpg") }).to_string();
    fleet.send((0..3).map(elsewhere).chain(keys.iter().map(|key| fleet.event(key)))).await;
    let summary = fleet.work("detect");
    assert_eq!((count(&summary, "rejected"), count(&summary, "indexed")), (3, keys.len() as u64), "{summary:#}");
    assert_eq!(count(&summary, "released"), 0, "nobody waits for it: {summary:#}");
    let letters = letters(&fleet).await;
    let reasons: Vec<String> = letters.iter().map(|letter| attribute(letter, "reason")).collect();
    assert_eq!(reasons, ["UNREADABLE"; 3]);
    assert_eq!(fleet.depth(&fleet.images).await, (0, 0));
}

/// SIGTERM by number: what the agent of ECS and Batch sends.
fn terminate(worker: &Worker) {
    assert!(std::process::Command::new("kill").args(["-TERM", &worker.id().to_string()]).status().unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_in_mid_run_gives_everything_back_at_once_and_exits_80_within_twenty_seconds() {
    let fleet = Fleet::new(&stack()).await;
    let keys = fleet.upload(&support::photos("demo"), "demo/").await;
    let sent = 10 * keys.len() as u64;
    fleet.send((0..10).flat_map(|_| keys.iter().map(|key| fleet.event(key)))).await;
    let worker = Worker::start(fleet.worker("detect").env("REDIS_URL", ""));
    let images = fleet.database("gallery_images").await.collection::<mongodb::bson::Document>("images");
    let patience = Instant::now() + Duration::from_secs(60);
    while images.estimated_document_count().await.unwrap() < 10 {
        assert!(Instant::now() < patience, "nothing was written");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let told = Instant::now();
    terminate(&worker);
    let summary = ended(worker, 80);
    assert!(told.elapsed() < Duration::from_secs(20), "{:?}", told.elapsed());
    let done: u64 = ["indexed", "no_faces", "low_quality"].iter().map(|state| count(&summary, state)).sum();
    assert!(done < sent, "it had finished already");
    assert_eq!(count(&summary, "fetched"), done + count(&summary, "released"), "{summary:#}");
    assert_eq!(summary["stragglers"], json!([]), "no stage was cut off: {summary:#}");
    assert_eq!(fleet.depth(&fleet.images).await, (sent - done, 0), "all that is not done is visible");
    assert_eq!(fleet.depth(&fleet.dead_letters).await, (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_shorter_than_the_work_is_renewed_and_nothing_is_done_twice() {
    let fleet = Fleet::new(&stack()).await;
    let keys = fleet.upload(&support::photos("demo").join("P001"), "demo/").await;
    // One photo in each of twelve galleries.
    let event = |n: usize| {
        json!({ "bucket": fleet.photos, "key": keys[n % keys.len()], "gallery_id": format!("g{n}") }).to_string()
    };
    let sent = 12;
    fleet.send((0..sent).map(event)).await;
    // All messages are held at once, each lease lasts 15 seconds, and 2 photos at a time come in 8 seconds: the last one
    // after three leases, however fast the machine is.
    let wire = Proxy::start(fleet.stack.url("aws")).await.unwrap();
    wire.slow(Duration::from_secs(8));
    let mut worker = fleet.worker("detect");
    worker
        .env("MESSAGE_VISIBILITY_TIMEOUT", "15")
        .env("REDIS_URL", "")
        .env("MUSTER_BUCKETS__ENDPOINT", wire.url())
        .env("MUSTER_FLEET__DOWNLOADS", "2");
    let begun = Instant::now();
    let worker = Worker::start(&mut worker);
    let summary = tokio::task::spawn_blocking(move || ended(worker, 0)).await.unwrap();
    assert!(begun.elapsed() > Duration::from_secs(40), "the leases were never too short");
    assert_eq!((count(&summary, "fetched"), count(&summary, "lease_lost")), (sent as u64, 0), "{summary:#}");
    assert_eq!(fleet.depth(&fleet.images).await, (0, 0));
}
