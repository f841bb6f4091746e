//! What the machine says, and what a worker makes of it.

use std::time::{Duration, Instant};

use super::{count, stack, support};
use crate::support::fleet::{Fleet, Worker, ended};
use muster_chaos::metadata::Metadata;

/// A worker that stays, over a queue with work for a while.
async fn busy(fleet: &Fleet, metadata: &str) -> (Worker, u64) {
    let keys = fleet.upload(&support::photos("demo"), "demo/").await;
    fleet.send((0..20).flat_map(|_| keys.iter().map(|key| fleet.event(key)))).await;
    let worker = Worker::start(
        fleet
            .worker("detect")
            .env_remove("AWS_EC2_METADATA_DISABLED")
            .env("AWS_EC2_METADATA_SERVICE_ENDPOINT", metadata)
            .env("MUSTER_FLEET__MODE", "ecs")
            // The same photos again and again are work only without a cache.
            .env("REDIS_URL", ""),
    );
    (worker, 20 * keys.len() as u64)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spot_notice_or_a_rebalance_recommendation_hands_the_work_back() {
    for (path, notice) in [
        ("/latest/meta-data/spot/instance-action", r#"{"action": "terminate", "time": "2026-01-01T00:00:00Z"}"#),
        ("/latest/meta-data/events/recommendations/rebalance", r#"{"noticeTime": "2026-01-01T00:00:00Z"}"#),
    ] {
        let fleet = Fleet::new(&stack()).await;
        let metadata = Metadata::start().await.unwrap();
        let (worker, sent) = busy(&fleet, &metadata.url()).await;
        // More requests than a token is good for.
        let patience = Instant::now() + Duration::from_secs(60);
        while metadata.asked() < 6 {
            assert!(Instant::now() < patience, "nobody asks the metadata service");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        metadata.say(path, notice);
        let told = Instant::now();
        let summary = ended(worker, 80);
        // Asked every five seconds, whatever became of the token. A notice comes two minutes before the end.
        assert!(told.elapsed() < Duration::from_secs(30), "{:?}", told.elapsed());
        let done: u64 = ["indexed", "no_faces"].iter().map(|state| count(&summary, state)).sum();
        assert!(done > 0 && done < sent, "{summary:#}");
        assert_eq!(summary["stragglers"], serde_json::json!([]), "no stage was cut off: {summary:#}");
        assert_eq!(fleet.depth(&fleet.images).await, (sent - done, 0), "all that is not done is visible");
        // Whoever watches over a cutover counts machines that were taken away.
        let interrupted = fleet.documents("gallery_images", "interruptions").await.len();
        assert_eq!(interrupted, usize::from(path.contains("spot")), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_brings_its_models_works_without_a_metadata_service_and_leaves_when_its_time_is_over() {
    let fleet = Fleet::new(&stack()).await;
    let keys = fleet.upload(&support::photos("demo").join("P002"), "demo/").await;
    fleet.send(keys.iter().map(|key| fleet.event(key))).await;
    // The models lie in S3, as a pack of its own.
    let models = support::home().join("models/open");
    let mut manifest = std::fs::read_to_string(support::repository().join("config/models/open.toml")).unwrap();
    manifest = manifest.replace("name = \"open\"", "name = \"mine\"");
    for file in std::fs::read_dir(models).unwrap().map(|file| file.unwrap()) {
        let name = file.file_name().into_string().unwrap();
        fleet.put(&format!("models/mine/{name}"), std::fs::read(file.path()).unwrap()).await;
    }
    fleet.put("models/mine/manifest.toml", manifest.into_bytes()).await;
    let home = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(support::home().join("runtime"), home.path().join("runtime")).unwrap();
    let pack = format!("s3://{}/models/mine", fleet.photos);
    let mut check = fleet.muster();
    let checked = support::run(check.arg("check").env("MUSTER_HOME", home.path()).env("MUSTER_MODELS__PACK", &pack), 0);
    assert!(String::from_utf8_lossy(&checked.stdout).contains("mine@"), "{checked:?}");
    let begun = Instant::now();
    let worker = Worker::start(
        fleet
            .worker("worker")
            .args(["--mode", "ecs"])
            .env("SERVICE_TYPE", "detection")
            .env("MUSTER_HOME", home.path())
            .env("MUSTER_MODELS__PACK", pack)
            .env_remove("AWS_EC2_METADATA_DISABLED")
            .env("AWS_EC2_METADATA_SERVICE_ENDPOINT", format!("http://{}", support::NOWHERE))
            .env("MUSTER_FLEET__TIME_LIMIT_MINUTES", "1"),
    );
    let summary = ended(worker, 0);
    assert_eq!(count(&summary, "indexed"), keys.len() as u64);
    let images = fleet.documents("gallery_images", "images").await;
    assert!(images.iter().all(|image| image.get_str("model").unwrap().starts_with("mine@")), "{images:?}");
    assert!(begun.elapsed() >= Duration::from_secs(60), "it left an empty queue before its time");
}
