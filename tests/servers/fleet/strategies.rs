//! What follows from an error, observed from outside: the exit code, the counters, where the messages are.

use std::time::{Duration, Instant};

use super::{count, stack, support};
use crate::support::fleet::{Fleet, Worker, ended};
use crate::support::moody::Moody;
use muster_chaos::proxy::Proxy;

const EVER: usize = usize::MAX;

/// A refusal and what follows: which service, how often it refuses and how; the exit code.
type Case = (&'static str, usize, u16, &'static str, i32);

// As Amazon writes them ("Error responses", Amazon S3 API Reference; the JSON protocol of SQS).
const CASES: [Case; 8] = [
    ("BUCKETS", 20, 503, "<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>", 0),
    ("BUCKETS", 4, 503, "<Error><Code>ServiceUnavailable</Code><Message>Try again.</Message></Error>", 0),
    ("BUCKETS", EVER, 403, "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>", 77),
    ("BUCKETS", EVER, 404, "<Error><Code>NoSuchBucket</Code><Message>none</Message></Error>", 78),
    ("QUEUES", 5, 400, r#"{"__type":"com.amazonaws.sqs#RequestThrottled","message":"slow"}"#, 0),
    ("QUEUES", 3, 500, r#"{"__type":"com.amazon.coral.service#InternalFailure","message":"oops"}"#, 0),
    ("QUEUES", EVER, 403, r#"{"__type":"com.amazon.coral.service#AccessDeniedException","message":"no"}"#, 77),
    ("QUEUES", EVER, 400, r#"{"__type":"com.amazonaws.sqs#QueueDoesNotExist","message":"none"}"#, 78),
];

async fn fleet_with_work() -> (Fleet, u64) {
    let fleet = Fleet::new(&stack()).await;
    let keys = fleet.upload(&support::photos("demo").join("P003"), "demo/").await;
    fleet.send(keys.iter().map(|key| fleet.event(key))).await;
    (fleet, keys.len() as u64)
}

/// Waits until every message can be received again.
async fn all_visible(fleet: &Fleet, sent: u64) {
    // Released with a delay of ten seconds at most.
    let patience = Instant::now() + Duration::from_secs(20);
    while fleet.depth(&fleet.images).await != (sent, 0) {
        assert!(Instant::now() < patience, "{:?} of {sent}", fleet.depth(&fleet.images).await);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_refusal_of_a_service_has_the_end_that_the_error_table_says_and_costs_no_image() {
    let each = CASES.map(|(service, times, status, body, code)| async move {
        let (fleet, sent) = fleet_with_work().await;
        let moody = Moody::start(fleet.stack.url("aws"), times, status, body).await;
        let mut worker = fleet.worker("detect");
        worker.env("REDIS_URL", "").env(format!("MUSTER_{service}__ENDPOINT"), moody.url());
        let worker = Worker::start(&mut worker);
        let summary = tokio::task::spawn_blocking(move || ended(worker, code)).await.unwrap();
        let stage = if service == "QUEUES" { "fetcher" } else { "downloader" };
        let told = |what: &str| count(&summary["stages"][stage], what);
        assert_eq!(count(&summary, "rejected"), 0, "{body}: {summary:#}");
        assert_eq!(fleet.depth(&fleet.dead_letters).await, (0, 0), "{body}");
        if code == 0 {
            assert_eq!((count(&summary, "indexed"), moody.left()), (sent, 0), "{body}: {summary:#}");
            assert_eq!(count(&summary, "released"), 0, "{body}: {summary:#}");
            assert!(told("retried") > 0 && told("recovered") > 0, "{body}: {summary:#}");
            assert_eq!(fleet.depth(&fleet.images).await, (0, 0), "{body}");
        } else {
            assert!(told("errors") > 0 && told("retried") == 0, "{body}: no person is waited for: {summary:#}");
            all_visible(&fleet, sent).await;
        }
    });
    futures_util::future::join_all(each).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dependency_that_stays_away_ends_the_worker_with_81_and_everything_is_given_back() {
    let (fleet, sent) = fleet_with_work().await;
    let wire = Proxy::start(fleet.stack.url("aws")).await.unwrap();
    wire.set(false);
    let mut worker = fleet.worker("detect");
    worker.env("REDIS_URL", "").env("MUSTER_BUCKETS__ENDPOINT", wire.url()).env("MUSTER_FLEET__OUTAGE_MINUTES", "1");
    let began = Instant::now();
    let worker = Worker::start(&mut worker);
    let summary = tokio::task::spawn_blocking(move || ended(worker, 81)).await.unwrap();
    assert!(began.elapsed() > Duration::from_secs(60), "it did not wait: {:?}", began.elapsed());
    assert_eq!((count(&summary, "rejected"), count(&summary, "released")), (0, sent), "{summary:#}");
    all_visible(&fleet, sent).await;
}
