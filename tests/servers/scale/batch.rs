//! Workers in AWS Batch: a server with Batch's own rules, and the emulator, which is kinder.

use std::collections::BTreeSet;
use std::sync::Arc;

use muster_actors::ports::fleet::JobQueue;
use muster_actors::ports::fleet::{FleetError, JobOrder, JobPhase, JobProgress};
use muster_actors::scaler::submitter::Submitter;
use muster_actors::sim::batch::Status;
use muster_actors::sim::call_loss::LostPart;
use muster_aws::clients::Clients;
use muster_aws::queue_metrics::SqsQueueMetrics;
use muster_aws::scaling;
use muster_config::{Layers, ScaledService, Settings};
use serde_json::Value;

use super::stack;
use crate::support::batch::{Batch, QUEUES};
use crate::support::fleet::{Fleet, clients};
use crate::support::run;

/// Forty messages that want more workers than the caps allow.
struct World {
    fleet: Fleet,
    clients: Clients,
    batch: Batch,
}

impl World {
    async fn new(batch: Batch) -> Self {
        let fleet = Fleet::new(&stack()).await;
        let clients = clients(stack().url("aws")).await;
        Self { fleet, clients, batch }
    }

    fn settings(&self) -> Settings {
        let mut settings = Layers::defaults().settings().unwrap();
        settings.fleet.endpoint = stack().url("aws").to_owned();
        settings.queues.images = self.fleet.images.clone();
        settings.buckets.groups = self.fleet.groups.clone();
        let batch = &mut settings.batch;
        batch.endpoint = self.batch.url().to_owned();
        [&mut batch.primary_queue, &mut batch.secondary_queue, &mut batch.fallback_queue]
            .into_iter()
            .zip(QUEUES)
            .for_each(|(queue, name)| *queue = name.to_owned());
        batch.detection = "detection:1".to_owned();
        settings.scale.rate = 0.01;
        (settings.scale.primary, settings.scale.secondary, settings.scale.fallback) = (2, 5, 1);
        settings
    }

    /// Whoever scales jobs with this name.
    fn submitter(&self, name: &str) -> Submitter {
        let settings = self.settings();
        let gauge = scaling::gauge(&self.clients, &settings, ScaledService::Detection).unwrap();
        let fleet = muster_aws::batch::BatchFleet::new(&self.clients, &settings, name, "detection:1");
        let mut submitter =
            scaling::submitter(&self.clients, &settings, ScaledService::Detection, Arc::new(gauge), Arc::new(fleet))
                .unwrap();
        let groups = muster_aws::s3::S3Bucket::new(self.clients.s3.clone(), &self.fleet.groups, "");
        submitter.settings.name = name.to_owned();
        submitter.cell = Arc::new(muster_aws::cas_object::S3CasObject::new(groups, &format!("fleet/{name}.json")));
        submitter
    }

    async fn fill(&self) {
        self.fleet.send((0..40).map(|n| self.fleet.event(&format!("g/{n}.jpg")))).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_state_and_every_child_counts_and_a_name_is_found_when_its_job_has_ended() {
    let world = World::new(Batch::start().await).await;
    let fleet = world.submitter("m").fleet;
    let order = |name: &str, line, workers| JobOrder { name: name.to_owned(), line, workers };
    let mut orders = Vec::new();
    // One job in each state, an array with a child in each, and more than a page of both.
    for (nth, status) in Status::ALL.into_iter().enumerate() {
        orders.push((order(&format!("m-1-{nth}"), JobQueue::Primary, 1), vec![status]));
    }
    orders.push((order("m-2-0", JobQueue::Secondary, 7), Status::ALL.to_vec()));
    for nth in 0..130 {
        orders.push((order(&format!("m-3-{nth}"), JobQueue::Secondary, 2), vec![Status::Running, Status::Succeeded]));
    }
    orders.push((order("other-1-0", JobQueue::Secondary, 3), vec![Status::Running; 3]));
    for (order, statuses) in orders {
        fleet.submit(&order).await.unwrap();
        let mut jobs = world.batch.jobs();
        let job = jobs.all_mut().last_mut().unwrap();
        job.workers = statuses;
        job.reason = "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY".to_owned();
    }
    let seen = fleet.seen(&["m-1-6".to_owned(), "m-9-9".to_owned()]).await.unwrap();
    let count = |line, phase| -> u64 {
        seen.iter().filter(|one| one.line == line && one.phase == phase).map(|one| one.workers).sum()
    };
    assert_eq!((count(JobQueue::Primary, JobPhase::Waiting), count(JobQueue::Primary, JobPhase::Working)), (3, 2));
    assert_eq!(
        (count(JobQueue::Secondary, JobPhase::Waiting), count(JobQueue::Secondary, JobPhase::Working)),
        (3, 2 + 130)
    );
    assert_eq!(count(JobQueue::Fallback, JobPhase::Waiting), 0);
    let ended: Vec<_> = seen.iter().filter(|one| one.phase == JobPhase::Ended).map(|one| one.name.as_str()).collect();
    assert_eq!(ended, ["m-1-6"], "asked for, and over");
    let reasoned = |one: &&JobProgress| one.reason.is_some();
    let reasons: Vec<_> = seen.iter().filter(reasoned).map(|one| (one.name.as_str(), one.workers)).collect();
    assert_eq!(reasons, [("m-1-2", 1), ("m-1-1", 1), ("m-1-0", 1), ("m-2-0", 3)], "the newest come first");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_batch_will_never_take_is_refused_and_what_may_have_been_taken_is_not_certain() {
    let world = World::new(Batch::start().await).await;
    let fleet = world.submitter("m").fleet;
    let order = |workers| JobOrder { name: "m-1-0".to_owned(), line: JobQueue::Primary, workers };
    let error = fleet.submit(&order(10_001)).await.unwrap_err();
    assert!(matches!(&error, FleetError::Refused(text) if text.contains("between 2 and 10000")), "{error}");
    world.batch.lose(0, LostPart::Answer);
    let error = fleet.submit(&order(2)).await.unwrap_err();
    assert!(!error.is_definite(), "{error}");
    assert_eq!(world.batch.jobs().active("primary"), 2, "it was taken");
    // One worker is a plain job.
    fleet.submit(&order(1)).await.unwrap();
    assert!(!world.batch.jobs().all().last().unwrap().array);
}

/// Two submitters at once, three times: one of them finds the other at it, or both look, one after the other.
async fn thrice(world: &World, name: &str) {
    let (one, two) = (world.submitter(name), world.submitter(name));
    for _ in 0..3 {
        let _ = tokio::join!(one.tick(), two.tick());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_submitters_and_a_call_or_an_answer_lost_anywhere_exceed_no_cap() {
    let world = World::new(Batch::start().await).await;
    world.fill().await;
    thrice(&world, "calm").await;
    let calls = world.batch.take_calls();
    assert!(calls > 5, "{calls}");
    for nth in 0..calls {
        for what in [LostPart::Call, LostPart::Answer] {
            // All jobs of the last round are over.
            world.batch.jobs().all_mut().iter_mut().for_each(|job| job.workers.fill(Status::Succeeded));
            world.batch.lose(nth, what);
            thrice(&world, &format!("lost-{nth}-{what:?}")).await;
            let jobs = world.batch.jobs();
            let active = QUEUES.map(|queue| jobs.active(queue));
            assert!(active[0] <= 2 && active[1] <= 5 && active[2] == 0, "{what:?} {nth} lost: {active:?}");
            assert!(active[0] + active[1] >= 2, "{what:?} {nth} lost: {active:?}");
        }
    }
    let jobs = world.batch.jobs();
    let names: BTreeSet<_> = jobs.all().iter().map(|job| &job.name).collect();
    assert_eq!(names.len(), jobs.all().len(), "no job twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn so_it_is_with_the_emulator() {
    let world = World::new(Batch::before(stack().url("aws")).await).await;
    let config = aws_sdk_batch::config::Builder::from(&world.clients.config).endpoint_url(stack().url("aws")).build();
    let client = aws_sdk_batch::Client::from_conf(config);
    for queue in QUEUES {
        let made = client.create_job_queue().job_queue_name(queue).priority(1).compute_environment_order(
            aws_sdk_batch::types::ComputeEnvironmentOrder::builder().order(1).compute_environment("any").build(),
        );
        made.send().await.unwrap();
    }
    world.fill().await;
    thrice(&world, "calm").await;
    let calls = world.batch.take_calls();
    assert!(calls > 5, "{calls}");
    for nth in 0..calls {
        for what in [LostPart::Call, LostPart::Answer] {
            world.batch.lose(nth, what);
            let name = format!("emulated-{nth}-{what:?}");
            let (one, two) = (world.submitter(&name), world.submitter(&name));
            let mut submitted = 0;
            for _ in 0..3 {
                // The emulator's jobs are over at once: each look may ask for all of them again, and never for more.
                for submitter in [&one, &two] {
                    world.batch.take_submitted();
                    let _ = submitter.tick().await;
                    let asked = world.batch.take_submitted();
                    let of = |queue: &str| -> u64 { asked.iter().filter(|one| one.0 == queue).map(|one| one.1).sum() };
                    assert!(of("primary") <= 2 && of("secondary") <= 5 && of("on-demand") == 0, "{asked:?}");
                    submitted += of("primary") + of("secondary");
                }
            }
            assert!(submitted > 0, "{what:?} {nth} lost");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_submits_once_tells_why_and_a_dry_run_changes_nothing() {
    let world = World::new(Batch::start().await).await;
    world.fill().await;
    let scale = |more: &[&str]| {
        let mut command = world.fleet.muster();
        command.arg("scale").args(more).env("AWS_ENDPOINT_URL_BATCH", world.batch.url());
        for (key, value) in [
            ("BATCH__PRIMARY_QUEUE", "primary"),
            ("BATCH__SECONDARY_QUEUE", "secondary"),
            ("BATCH__FALLBACK_QUEUE", "on-demand"),
            ("BATCH__DETECTION", "detection:1"),
            ("BATCH__GROUPING", "detection:1"),
            ("SCALE__RATE", "0.01"),
        ] {
            command.env(format!("MUSTER_{key}"), value);
        }
        command
    };
    let told = String::from_utf8(run(&mut scale(&["--dry-run"]), 0).stdout).unwrap();
    assert!(told.contains("40 wait") && told.contains("would submit") && told.contains("more are needed"), "{told}");
    assert!(told.contains("grouping") && told.contains("nothing waits"), "{told}");
    assert_eq!(world.batch.jobs().all().len(), 0);
    for submitted in [2, 0] {
        let output = run(&mut scale(&["--once", "--json"]), 0);
        let looks: Vec<Value> =
            String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let orders = looks[0]["look"]["orders"].as_array().unwrap();
        assert_eq!(orders.len(), submitted, "{looks:#?}");
    }
    // 40 images at 0.01 a second and worker in 720 s: six workers, four in the first queue.
    assert_eq!(QUEUES.map(|queue| world.batch.jobs().active(queue)), [4, 2, 0]);
    let output = run(scale(&["--once"]).env("MUSTER_BATCH__DETECTION", ""), 78);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(told.contains("batch.detection is not set: set MUSTER_BATCH__DETECTION"), "{told}");
    let output = run(scale(&["--once"]).env("MUSTER_BATCH__PRIMARY_QUEUE", "none"), 78);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(told.contains("JobQueue none not found"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rate_is_what_busy_workers_say_they_do() {
    use aws_sdk_cloudwatch::types::{Dimension, MetricDatum};
    let world = World::new(Batch::start().await).await;
    // A service of its own: the emulator keeps metrics for all tests.
    let gauge = SqsQueueMetrics::new(&world.clients, &world.settings(), &world.fleet.images, Some("measured"));
    let config = aws_sdk_cloudwatch::config::Builder::from(&world.clients.config).endpoint_url(stack().url("aws"));
    let client = aws_sdk_cloudwatch::Client::from_conf(config.build());
    use muster_actors::ports::queue_metrics::QueueMetrics;
    assert_eq!(gauge.rate().await, None);
    // Ten minutes of a worker: idle at first, then 1,200 images a minute.
    for minute in 0..10 {
        let dimension = |name: &str, value: &str| Dimension::builder().name(name).value(value).build();
        let datum = MetricDatum::builder()
            .metric_name("muster_stage_done_items")
            .dimensions(dimension("service", "measured"))
            .dimensions(dimension("device", "cpu"))
            .dimensions(dimension("stage", "device"))
            .value(if minute < 5 { 0.0 } else { 1200.0 })
            .timestamp(std::time::SystemTime::now().into())
            .build();
        client.put_metric_data().namespace("Muster").metric_data(datum).send().await.unwrap();
    }
    let rate = gauge.rate().await.unwrap();
    assert!((rate - 20.0).abs() < 0.01, "{rate}");
}
