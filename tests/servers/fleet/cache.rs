//! The cache may be cold, warm, changed, slow, gone or full of rubbish: what is found is the same.

use std::process::Command;

use mongodb::bson::Document;
use serde_json::Value;

use super::{collections, count, support};
use crate::support::fleet::{Fleet, Worker, ended};

/// Empties the databases and runs both workers; what they leave, and what the detecting one says of itself.
async fn run(fleet: &Fleet, keys: &[String], redis: &str) -> (Vec<(&'static str, Vec<Document>)>, Value, Value) {
    run_with(fleet, keys, &[("REDIS_URL", redis)]).await
}

async fn run_with(
    fleet: &Fleet,
    keys: &[String],
    settings: &[(&str, &str)],
) -> (Vec<(&'static str, Vec<Document>)>, Value, Value) {
    for database in ["gallery_images", "huemn"] {
        fleet.database(database).await.drop().await.unwrap();
    }
    fleet.send(keys.iter().map(|key| fleet.event(key))).await;
    let mut reports =
        ["detect", "group"].map(|worker| ended(Worker::start(fleet.worker(worker).envs(settings.iter().copied())), 0));
    let [detected, grouped] = [reports[0].take(), reports[1].take()];
    (collections(fleet).await, detected, grouped)
}

fn redis(url: &str, command: &[&str]) -> String {
    let output = Command::new("redis-cli").args(["-u", url]).args(command).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn signal(pid: u64, name: &str) {
    assert!(Command::new("kill").args([name, &pid.to_string()]).status().unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cache_that_is_cold_warm_stale_slow_gone_or_full_of_rubbish_changes_nothing() {
    // A stack of its own: this one is stopped.
    let stack = std::sync::Arc::new(support::stack::Stack::start(&["mongo", "redis", "aws"]));
    let fleet = Fleet::new(&stack).await;
    let folder = support::photos("demo").join("P001");
    let keys = fleet.upload(&folder, "demo/").await;
    let url = stack.url("redis");
    let (expected, report, _) = run(&fleet, &keys, "").await;
    assert!(report.get("cache").is_none() && count(&report, "indexed") > 3, "{report:#}");

    let (cold, report, _) = run(&fleet, &keys, url).await;
    assert_eq!((&cold, count(&report["cache"], "hits")), (&expected, 0));
    let (warm, report, grouped) = run(&fleet, &keys, url).await;
    assert_eq!(warm, expected);
    // Each image and its analysis; each face's embedding.
    assert_eq!(count(&report["cache"], "hits"), 2 * keys.len() as u64, "{report:#}");
    assert!(count(&grouped["cache"], "hits") >= count(&report, "faces"), "{grouped:#}");
    assert_eq!(report["stages"]["device"]["done"], 0, "no image needed a device: {report:#}");

    // Two photos change places under their names: what is kept of them is stale.
    fleet.put(&keys[0], std::fs::read(folder.join(keys[1].strip_prefix("demo/").unwrap())).unwrap()).await;
    fleet.put(&keys[1], std::fs::read(folder.join(keys[0].strip_prefix("demo/").unwrap())).unwrap()).await;
    let (changed, _, _) = run(&fleet, &keys, "").await;
    assert_ne!(changed, expected);
    assert_eq!(run(&fleet, &keys, url).await.0, changed, "stale");

    // Every value becomes another's.
    let names: Vec<String> = redis(url, &["--raw", "KEYS", "muster:*"]).lines().map(str::to_owned).collect();
    assert!(names.len() > 2 * keys.len(), "{names:?}");
    for name in names {
        match redis(url, &["--raw", "TYPE", &name]).trim() {
            "hash" => {
                for field in 0..50 {
                    redis(url, &["HSET", &name, &field.to_string(), "rubbish"]);
                }
            }
            _ => {
                redis(url, &["SET", &name, &"rubbish".repeat(100), "KEEPTTL"]);
            }
        }
    }
    let (rubbish, report, _) = run(&fleet, &keys, url).await;
    assert_eq!(rubbish, changed, "rubbish");
    assert!(count(&report["cache"], "errors") >= keys.len() as u64, "{report:#}");

    signal(stack.pid("redis"), "-STOP");
    let impatient = [("REDIS_URL", url), ("MUSTER_REDIS__TIMEOUT_MILLISECONDS", "50")];
    let (slow, report, _) = run_with(&fleet, &keys, &impatient).await;
    signal(stack.pid("redis"), "-CONT");
    assert_eq!((&slow, count(&report["cache"], "hits")), (&changed, 0), "slow");
    assert!(count(&report["cache"], "errors") > 0, "{report:#}");

    stack.tell("stop", "redis");
    assert_eq!(run(&fleet, &keys, url).await.0, changed, "gone");
}
