//! Each dependency goes away for a while in the middle of a run, and comes back.
//!
//! `make outages` runs this with 2,000 images and a minute without each of them; `make test` with less of both.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use muster_chaos::proxy::Proxy;
use serde_json::json;

use super::{count, support};
use crate::support::fleet::{Fleet, Worker, ended};
use crate::support::moody::{Moody, Refusal};

/// What S3 says of an object whose key is disabled, and of one that a policy denies.
const REFUSALS: [(&str, u16, &str); 2] = [
    ("key", 400, "<Error><Code>KMS.DisabledException</Code><Message>The key is disabled.</Message></Error>"),
    ("policy", 403, "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"),
];

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

/// Peak resident memory of a process in megabytes.
fn peak(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("0");
    line.split_whitespace().next().unwrap().parse::<u64>().unwrap() / 1024
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dependency_that_goes_away_and_comes_back_costs_time_and_nothing_else() {
    let (images, seconds) = (setting("MUSTER_OUTAGE_IMAGES", 500), setting("MUSTER_OUTAGE_SECONDS", 5));
    // Servers of its own: these are stopped.
    let stack = std::sync::Arc::new(support::stack::Stack::start(&["mongo", "redis", "aws"]));
    let fleet = Fleet::new(&stack).await;
    let photos = fleet.upload(&support::photos("demo"), "source/").await;
    // One gallery for each round through the photos, so that every image is an image of its own.
    let wanted: Vec<(String, &String)> =
        (0..images as usize).map(|n| (format!("round{}", n / photos.len()), &photos[n % photos.len()])).collect();
    let body = |(gallery, key): &(String, &String)| {
        json!({ "bucket": fleet.photos, "key": key, "gallery_id": gallery }).to_string()
    };
    fleet.send(wanted.iter().map(body)).await;

    let url = fleet.stack.url("aws");
    let moody = Moody::calm(url).await;
    let (queues, buckets) = (Proxy::start(url).await.unwrap(), Proxy::start(moody.url()).await.unwrap());
    let mut worker = Worker::start(
        fleet
            .worker("detect")
            // The same photos again and again are work only where their analyses are not remembered.
            .env("MUSTER_REDIS__ANALYSIS_SECONDS", "1")
            // Results are written when they are half of the credits: often enough that S3 is asked for something all the time.
            .env("MUSTER_FLEET__CREDITS", "32")
            // Messages of a receive whose answer was lost come again when their lease ends: it waits for them.
            .env("MESSAGE_VISIBILITY_TIMEOUT", (seconds + 15).to_string())
            .env("MUSTER_QUEUES__LEAVE_AFTER_EMPTY", (seconds + 20).to_string())
            .env("MUSTER_QUEUES__ENDPOINT", queues.url())
            .env("MUSTER_BUCKETS__ENDPOINT", buckets.url()),
    );
    let pid = worker.id();
    let stored = fleet.database("gallery_images").await.collection::<mongodb::bson::Document>("images");
    let done = async || stored.estimated_document_count().await.unwrap_or(0);
    let reach = async |target: u64, patience: Duration| {
        let until = Instant::now() + patience;
        while done().await < target {
            assert!(Instant::now() < until, "{} of {target} images after {patience:?}", done().await);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let mut recovery = BTreeMap::new();
    for (n, dependency) in ["mongo", "redis", "s3", "key", "policy", "sqs"].into_iter().enumerate() {
        reach(images * (n as u64 + 1) / 8, Duration::from_secs(600)).await;
        assert!(worker.is_running() && done().await < images, "too fast to be disturbed");
        match dependency {
            "s3" => buckets.set(false),
            "sqs" => queues.set(false),
            "key" | "policy" => {
                let (_, status, body) = REFUSALS.into_iter().find(|(name, ..)| *name == dependency).unwrap();
                moody.refuse(Some(Refusal { times: usize::MAX, path: "", status, body }));
            }
            server => fleet.stack.tell("stop", server),
        }
        let refused = moody.refused();
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        match dependency {
            "key" | "policy" => {
                assert!(moody.refused() > refused, "nothing was asked for without the {dependency}");
                moody.refuse(None);
            }
            "s3" => buckets.set(true),
            "sqs" => queues.set(true),
            server => fleet.stack.tell("start", server),
        }
        let back = Instant::now();
        if dependency == "sqs" {
            // What was received before goes on without it: it is back when messages are received again.
            let visible = fleet.depth(&fleet.images).await.0;
            while visible > 0 && fleet.depth(&fleet.images).await.0 == visible {
                assert!(back.elapsed() < Duration::from_secs(60), "no message is received");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            recovery.insert(dependency, back.elapsed().as_secs_f64());
            continue;
        }
        let before = done().await;
        reach((before + 1).min(images), Duration::from_secs(60)).await;
        recovery.insert(dependency, back.elapsed().as_secs_f64());
    }
    let mut memory = 0;
    while worker.is_running() {
        memory = memory.max(peak(pid));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let summary = ended(worker, 0);
    println!("{images} images, each dependency away for {seconds} s");
    recovery.iter().for_each(|(dependency, seconds)| println!("  {dependency} back: goes on after {seconds:.1} s"));
    println!("  peak memory of the worker {memory} MB");
    let states = |state: &str| count(&summary, state);
    let shown = ["indexed", "no_faces", "released", "lease_lost"].map(|state| format!("{state} {}", states(state)));
    println!("  {}", shown.join(", "));
    // Lost is a lease that ended while SQS was away: its image comes again, unless it was deleted and the answer lost.
    assert!(states("indexed") + states("no_faces") + states("lease_lost") >= images, "{summary:#}");
    assert!(memory < 2048, "{memory} MB");
    assert_eq!(fleet.depth(&fleet.images).await, (0, 0));
    // Every image is stored once, with as many faces as its record counts and as its photo has in every other gallery.
    let records = fleet.documents("gallery_images", "images").await;
    let lost = images as i64 - records.len() as i64;
    let faces: i64 = records.iter().map(|record| record.get_i64("face_count").unwrap()).sum();
    let doubled = fleet.documents("gallery_images", "faces").await.len() as i64 - faces;
    let mut judged: BTreeMap<&str, BTreeMap<_, usize>> = BTreeMap::new();
    for record in &records {
        let [key, state] = ["key", "state"].map(|field| record.get_str(field).unwrap());
        *judged.entry(key).or_default().entry((state, record.get_i64("face_count").unwrap())).or_default() += 1;
    }
    let misjudged: usize =
        judged.values().map(|each| each.values().sum::<usize>() - each.values().max().unwrap()).sum();
    let innocents = states("rejected") + fleet.depth(&fleet.dead_letters).await.0;
    println!("  lost {lost}, doubled {doubled}, misjudged {misjudged}, innocents {innocents}");
    assert_eq!((lost, doubled, misjudged, innocents), (0, 0, 0, 0), "{summary:#}");
}
