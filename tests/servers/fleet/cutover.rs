//! A cutover rehearsed: an ECS worker and a Batch worker as processes, a router between them, and a failure that was planted.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{on_a_laptop, stack};
use crate::support::fleet::{Fleet, Worker, clients, ended};
use crate::support::{photos, run};

/// A fleet with the queues of a cutover.
struct Cutover {
    fleet: Fleet,
    intake: String,
    ecs: String,
}

impl Cutover {
    async fn new() -> Self {
        let fleet = Fleet::new(&stack()).await;
        let (intake, ecs) = (fleet.queue("intake").await, fleet.queue("ecs").await);
        Self { fleet, intake, ecs }
    }

    fn set_up(&self, mut command: Command) -> Command {
        command.env("MUSTER_CUTOVER__INTAKE", &self.intake).env("MUSTER_CUTOVER__ECS", &self.ecs);
        // A rehearsal: steps of a second, and a few images say enough.
        for (key, value) in [("DWELL_SECONDS", "1"), ("LOOK_SECONDS", "2"), ("IMAGES", "10"), ("WINDOW_SECONDS", "60")]
        {
            command.env(format!("MUSTER_CUTOVER__{key}"), value);
        }
        command
    }

    fn muster(&self, args: &[&str]) -> Command {
        let mut command = self.fleet.muster();
        command.arg("cutover").args(args);
        self.set_up(command)
    }

    fn watch(&self) -> Worker {
        Worker::start(self.muster(&["watch"]).stderr(Stdio::piped()))
    }

    /// A worker that stays, of one side.
    fn worker(&self, queue: &str) -> Worker {
        Worker::start(
            self.fleet.worker("detect").env("MUSTER_FLEET__MODE", "ecs").env("QUEUE_URL", queue).env("REDIS_URL", ""),
        )
    }

    fn status(&self) -> Value {
        serde_json::from_slice(&run(&mut self.muster(&["status", "--json"]), 0).stdout).unwrap()
    }

    async fn send(&self, keys: &[String]) {
        self.fleet.send_to(&self.intake, keys.iter().map(|key| self.fleet.event(key))).await;
    }

    async fn empty(&self) -> bool {
        for queue in [&self.intake, &self.ecs, &self.fleet.images] {
            if self.fleet.depth(queue).await != (0, 0) {
                return false;
            }
        }
        true
    }
}

async fn until(what: &str, seconds: u64, mut holds: impl AsyncFnMut() -> bool) -> Duration {
    let since = Instant::now();
    while !holds().await {
        assert!(since.elapsed() < Duration::from_secs(seconds), "{what} did not happen within {seconds} s");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    since.elapsed()
}

fn terminate(worker: &Worker) {
    assert!(Command::new("kill").arg(worker.id().to_string()).status().unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_rolls_back_within_a_minute_and_the_results_are_those_of_an_undisturbed_run() {
    let cutover = Cutover::new().await;
    let fleet = &cutover.fleet;
    let mut keys = fleet.upload(&photos("demo"), "demo/").await;
    // Each photo once: from one side or the other, no step sees too few.
    keys.sort_by_key(|key| blake3::hash(key.as_bytes()).to_string());
    let bad: Vec<String> = (0..30).map(|n| format!("demo/broken/{n}.jpg")).collect();
    for key in &bad {
        fleet.put(key, b"no photo".to_vec()).await;
    }
    let (watch, ecs, batch) = (cutover.watch(), cutover.worker(&cutover.ecs), cutover.worker(&fleet.images));
    let said = run(&mut cutover.muster(&["status"]), 0);
    let said = String::from_utf8(said.stdout).unwrap();
    assert!(said.contains("0 % of the images go to Batch"), "{said}");

    // Step by step; a step is not jumped over.
    let refused = run(&mut cutover.muster(&["set", "50"]), 75);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("set 10, or say --force"), "{refused:?}");
    let mut parts = keys.chunks(keys.len().div_ceil(6));
    cutover.send(parts.next().unwrap()).await;
    for percent in ["10", "25", "50", "75", "100"] {
        tokio::time::sleep(Duration::from_millis(1100)).await;
        run(&mut cutover.muster(&["set", percent, "--reason", "rehearsal"]), 0);
        cutover.send(parts.next().unwrap_or_default()).await;
    }
    until("all is done", 300, async || cutover.empty().await).await;
    let status = cutover.status();
    assert_eq!((&status["state"]["percent"], &status["state"]["held"]), (&100.into(), &Value::Null), "{status:#}");

    // At 100 % Batch gets what it cannot process.
    cutover.send(&bad).await;
    let took = until("the rollback", 60, async || cutover.status()["state"]["percent"] == 0).await;
    println!("rolled back {:.1} s after the first bad message was sent", took.as_secs_f64());
    let status = cutover.status();
    let why = status["state"]["held"].as_str().unwrap();
    println!("because {why}");
    assert!(why.contains("% of Batch's images were rejected") || why.contains("dead letters"), "{why}");
    let refused = run(&mut cutover.muster(&["set", "10"]), 75);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("rolled back by itself"), "{refused:?}");

    // What was routed to Batch before, and what its worker hands back, is moved.
    terminate(&batch);
    ended(batch, 80);
    fleet.send(keys.iter().take(20).map(|key| fleet.event(key))).await;
    until("all is moved and done", 300, async || cutover.empty().await).await;
    let trail = status["state"]["trail"].as_array().unwrap();
    let went: Vec<_> = trail.iter().map(|entry| (entry["from"].as_u64(), entry["to"].as_u64())).collect();
    let step = |from, to| (Some(from), Some(to));
    assert_eq!(went, [step(0, 10), step(10, 25), step(25, 50), step(50, 75), step(75, 100), step(100, 0)]);
    terminate(&watch);
    watch.said(0);
    terminate(&ecs);
    ended(ecs, 80);
    fleet.work("group");

    assert_eq!(fleet.depth(&fleet.dead_letters).await, (bad.len() as u64, 0));
    let images = fleet.documents("gallery_images", "images").await;
    let rejected = images.iter().filter(|image| image.get_str("state").unwrap() == "rejected").count();
    assert_eq!((images.len(), rejected), (keys.len() + bad.len(), bad.len()));
    assert_eq!(fleet.people().await, on_a_laptop(&photos("demo"), "demo/"), "as on a laptop, undisturbed");
}

/// The keys in a queue, as often as they are there.
async fn keys(fleet: &Fleet, queue: &str) -> Vec<String> {
    let mut found = Vec::new();
    loop {
        let asked = fleet
            .sqs
            .receive_message()
            .queue_url(queue)
            .max_number_of_messages(10)
            .wait_time_seconds(0)
            .visibility_timeout(600);
        let messages = asked.send().await.unwrap().messages.unwrap_or_default();
        if messages.is_empty() {
            return found;
        }
        for message in messages {
            let event: Value = serde_json::from_str(message.body().unwrap()).unwrap();
            for record in event["Records"].as_array().unwrap() {
                found.push(record["s3"]["object"]["key"].as_str().unwrap().to_owned());
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_router_that_is_killed_loses_nothing_and_two_at_once_are_harmless() {
    let cutover = Cutover::new().await;
    let fleet = &cutover.fleet;
    run(&mut cutover.muster(&["set", "50", "--force"]), 0);
    let sent: BTreeSet<String> = (0..2000).map(|n| format!("g/{n}.jpg")).collect();
    cutover.send(&sent.iter().cloned().collect::<Vec<_>>()).await;
    let (one, two) = (cutover.watch(), cutover.watch());
    until("some are routed", 30, async || fleet.depth(&cutover.ecs).await.0 > 100).await;
    let at = fleet.depth(&cutover.intake).await;
    // Dropped, it is killed: what it holds comes again after its lease.
    drop(one);
    assert!(at.0 + at.1 > 0, "all was routed before the kill: send more");
    until("the intake is empty", 300, async || fleet.depth(&cutover.intake).await == (0, 0)).await;
    terminate(&two);
    two.said(0);
    let (ecs, batch) = (keys(fleet, &cutover.ecs).await, keys(fleet, &fleet.images).await);
    println!("{} messages: {} to ECS, {} to Batch", sent.len(), ecs.len(), batch.len());
    let (of_ecs, of_batch): (BTreeSet<_>, BTreeSet<_>) = (ecs.into_iter().collect(), batch.into_iter().collect());
    assert!(of_ecs.is_disjoint(&of_batch), "an image has one side");
    assert_eq!(of_ecs.union(&of_batch).cloned().collect::<BTreeSet<_>>(), sent);
    assert!(of_ecs.len().abs_diff(1000) < 100, "{}", of_ecs.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn work_is_not_given_back_to_a_service_without_tasks() {
    let cutover = Cutover::new().await;
    let fleet = &cutover.fleet;
    let service = ecs_service(&fleet.images).await;
    let with_service = |args: &[&str]| {
        let mut command = cutover.muster(args);
        command.env("MUSTER_ECS__CLUSTER", "cutover").env("MUSTER_ECS__DETECTION", &service);
        command
    };
    let status =
        || -> Value { serde_json::from_slice(&run(&mut with_service(&["status", "--json"]), 0).stdout).unwrap() };
    run(&mut cutover.muster(&["set", "100", "--force"]), 0);
    let bad: Vec<String> = (0..30).map(|n| format!("demo/broken/{n}.jpg")).collect();
    for key in &bad {
        fleet.put(key, b"no photo".to_vec()).await;
    }
    fleet.send(bad.iter().map(|key| fleet.event(key))).await;
    fleet.work("detect");
    let watch = Worker::start(with_service(&["watch"]).stderr(Stdio::piped()));
    tokio::time::sleep(Duration::from_secs(6)).await;
    let seen = status();
    assert_eq!((&seen["state"]["percent"], &seen["tasks"]), (&100.into(), &0.into()), "{seen:#}");
    terminate(&watch);
    let said = watch.said(0);
    assert!(said.contains("cutover.no_tasks") && said.contains("of Batch's images were rejected"), "{said}");
    // Where no service is named, it goes back.
    let watch = cutover.watch();
    until("the rollback", 60, async || cutover.status()["state"]["percent"] == 0).await;
    assert_eq!(cutover.status()["tasks"], Value::Null);
    terminate(&watch);
    watch.said(0);
}

/// A service without tasks, in the emulator.
async fn ecs_service(queue: &str) -> String {
    let config = clients(stack().url("aws")).await.config;
    let config = aws_sdk_ecs::config::Builder::from(&config).endpoint_url(stack().url("aws")).build();
    let ecs = aws_sdk_ecs::Client::from_conf(config);
    ecs.create_cluster().cluster_name("cutover").send().await.unwrap();
    let container = aws_sdk_ecs::types::ContainerDefinition::builder().name("muster").image("muster").build();
    ecs.register_task_definition().family("worker").container_definitions(container).send().await.unwrap();
    let name = format!("{}-detection", queue.rsplit('/').next().unwrap());
    let made = ecs.create_service().cluster("cutover").service_name(&name).task_definition("worker");
    made.desired_count(0).send().await.unwrap();
    name
}
