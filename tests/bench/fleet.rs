//! What the fleet's ends cost: `cargo bench --bench fleet`.
//!
//! - the same photos through `muster index` and through `muster detect`, one after the other, with the CPU engine: on one core with
//!   the servers on another, as a fleet has them elsewhere; on all cores together with the servers; and with each request to SQS
//!   and S3 30 ms later;
//! - faces of 512 dimensions into MongoDB, without an engine;
//! - messages through the actors, with ends that cost nothing.

#[path = "../support/mod.rs"]
mod support;

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use actix::System;
use async_trait::async_trait;
use bytes::Bytes;
use muster_actors::domain::face::{BBox, Face, FaceId, Quality};
use muster_actors::domain::gallery::{GalleryId, GallerySnapshot, GalleryVersion, Reconciled};
use muster_actors::domain::image::{Frame, ImageRecord, ImageState, Locator, Pixels, Rejection};
use muster_actors::domain::timings::Timings;
use muster_actors::domain::version::ObjectVersion;
use muster_actors::flow::concurrency::{Bounds, Limits};
use muster_actors::pipeline::batcher::plan::BatchLimits;
use muster_actors::pipeline::settings::{CreditSettings, FetcherSettings, Settings};
use muster_actors::ports::Ports;
use muster_actors::ports::decoder::{DecodeError, Decoder};
use muster_actors::ports::engine::{Analysis, Engine, EngineError};
use muster_actors::ports::faces::{Commit, Faces, FacesError};
use muster_actors::ports::objects::{Object, Objects, ObjectsError};
use muster_actors::ports::queue::{Delivery, Handle, Queue, QueueError, Received, SettleOutcome};
use muster_actors::ports::releases::LocalReleases;
use muster_actors::start;
use muster_chaos::proxy::Proxy;
use muster_config::Secret;
use muster_stores::mongo::{Connection, MongoFaces, Uris};
use serde_json::Value;
use support::fleet::{Fleet, Worker, ended};
use support::stack::Stack;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let stack = Arc::new(Stack::start(&["mongo", "redis", "aws"]));
    runtime.block_on(end_to_end(&stack));
    runtime.block_on(writes(&stack));
    messages(100_000);
}

/// The same command on some cores.
fn on(cores: &str, command: &Command) -> Command {
    let mut pinned = Command::new("taskset");
    pinned.args(["-c", cores]).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => pinned.env(name, value),
            None => pinned.env_remove(name),
        };
    }
    pinned
}

/// Processor seconds of all children that have ended (proc(5): cutime and cstime, in hundredths).
fn spent() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    fields[13..15].iter().map(|ticks| ticks.parse::<f64>().unwrap()).sum::<f64>() / 100.0
}

/// Brings running servers to some cores.
fn move_to(cores: &str, stack: &Stack) {
    for server in ["mongo", "redis", "aws"] {
        let pid = stack.pid(server).to_string();
        let moved = Command::new("taskset").args(["-a", "-p", "-c", cores, &pid]).stdout(Stdio::null()).status();
        assert!(moved.unwrap().success(), "{server}");
    }
}

/// Images a second of `muster index` and of `muster detect` on the gallery photos.
async fn end_to_end(stack: &Arc<Stack>) {
    let folder = tempfile::tempdir().unwrap();
    support::link_some(&support::photos("gallery"), folder.path(), 1);
    let fleet = Fleet::new(stack).await;
    let keys = fleet.upload(folder.path(), "gallery/").await;
    let wire = Proxy::start(stack.url("aws")).await.unwrap();
    wire.slow(Duration::from_millis(30));
    let (direct, slow) = (stack.url("aws").to_owned(), wire.url());
    let all = format!("0-{}", std::thread::available_parallelism().map_or(0, |cores| cores.get() - 1));
    for (how, cores, servers, url) in [
        ("one core, servers on another", "0", "1", &direct),
        ("all cores, servers among them", &all, &all, &direct),
        ("all cores, servers among them and 30 ms away", &all, &all, &slow),
    ] {
        for round in 1..=3 {
            move_to(&all, stack);
            let library = tempfile::tempdir().unwrap();
            let mut command = support::muster();
            command.arg("index").arg(folder.path()).arg("--library").arg(library.path()).arg("--json");
            let before = spent();
            let index: Value = serde_json::from_slice(&support::run(&mut on(cores, &command), 0).stdout).unwrap();
            let index_spent = spent() - before;
            // Grouping is the other worker's work: it is not in the time of either.
            let grouping = index["stages"]["grouper"]["busy_seconds"].as_f64().unwrap();
            let laptop = keys.len() as f64 / (index["seconds"].as_f64().unwrap() - grouping);
            for database in ["gallery_images", "huemn"] {
                fleet.database(database).await.drop().await.unwrap();
            }
            fleet.send(keys.iter().map(|key| fleet.event(key))).await;
            move_to(servers, stack);
            // It leaves at the first empty answer, and no answer is waited for.
            let mut command = fleet.worker("detect");
            command
                .env("REDIS_URL", "")
                .env("AWS_ENDPOINT_URL", url)
                .env("MUSTER_QUEUES__WAIT_SECONDS", "0")
                .env("MUSTER_QUEUES__LEAVE_AFTER_EMPTY", "1");
            let before = spent();
            let detect = ended(Worker::start(on(cores, &command).stdout(Stdio::piped())), 0);
            let worker = keys.len() as f64 / detect["seconds"].as_f64().unwrap();
            assert_eq!(support::count(&detect, "fetched"), keys.len() as u64);
            let (ratio, detect_spent) = (worker / laptop, spent() - before);
            println!(
                "{how}, round {round}: {} images, index {laptop:.1}/s, detect {worker:.1}/s, ratio {ratio:.2}; \
                 processor seconds {index_spent:.1} and {detect_spent:.1}",
                keys.len()
            );
        }
    }
    move_to(&all, stack);
}

fn result(n: usize, faces: usize) -> Commit {
    let locator = Locator { gallery: GalleryId("bench".into()), bucket: "b".into(), key: format!("{n}.jpg") };
    let id = locator.id();
    let face = |m: usize| {
        let bbox = BBox { x: m as f32 * 50.0, y: 1.0, width: 40.0, height: 40.0 };
        let embedding = (0..512).map(|d| ((n * 31 + m * 7 + d) % 97) as f32 / 97.0).collect();
        Face {
            id: FaceId::new(id, "bench@1", &bbox),
            image: id,
            bbox,
            landmarks: [[1.0, 2.0]; 5],
            quality: Quality::default(),
            embedding,
            thumbnail: Vec::new(),
        }
    };
    let image = ImageRecord {
        id,
        locator,
        etag: "e".into(),
        bytes: 1,
        width: 1,
        height: 1,
        orientation: 1,
        taken: None,
        picture: None,
        state: ImageState::Indexed,
        rejection: None,
        quality: None,
        face_count: faces as u32,
        model: "bench@1".into(),
    };
    Commit {
        image,
        faces: (0..faces).map(face).collect(),
        content: None,
        version: ObjectVersion::default(),
        timings: Timings::default(),
    }
}

/// Faces a second into MongoDB, four an image, in bulks as the Writer makes them.
async fn writes(stack: &Arc<Stack>) {
    let [gallery_images, huemn] = ["bench_faces", "bench_huemn"]
        .map(|name| Secret::from(stack.url("mongo").replace("/?", &format!("/{name}?")).as_str()));
    let connection = Connection::open(&Uris { gallery_images: &gallery_images, huemn: &huemn }).await.unwrap();
    connection.ensure_indexes(None).await.unwrap();
    let store = MongoFaces::new(&connection, None);
    for images in [125, 500] {
        let began = Instant::now();
        let mut faces = 0;
        for bulk in 0..10_000 / images {
            let batch: Vec<Commit> = (0..images).map(|n| result(images * 1_000_000 + bulk * images + n, 4)).collect();
            faces += 4 * batch.len();
            assert!(store.commit(batch).await.unwrap().iter().all(Result::is_ok));
        }
        let seconds = began.elapsed().as_secs_f64();
        println!("writes: {faces} faces in bulks of {images} images, {:.0} faces/s", faces as f64 / seconds);
    }
}

/// Ends that cost nothing.
struct Nothing {
    left: AtomicUsize,
}

#[async_trait]
impl Queue for Nothing {
    fn visibility(&self) -> Duration {
        Duration::from_secs(600)
    }
    async fn receive(&self, max: usize) -> Result<Received, QueueError> {
        let taken = |left: usize| Some(left - left.min(max));
        let left = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, taken).unwrap_or(0);
        let delivery = |n: usize| Delivery {
            handle: Handle(n.to_string()),
            message: n.to_string(),
            body: format!(r#"{{"bucket":"b","key":"{n}.jpg","gallery_id":"g"}}"#),
            receive_count: 1,
            trace: None,
            waited: None,
        };
        Ok(Received { deliveries: (left - left.min(max)..left).map(delivery).collect(), finished: left == 0 })
    }
    async fn extend(&self, handles: &[Handle]) -> Result<Vec<SettleOutcome>, QueueError> {
        Ok(vec![SettleOutcome::Done; handles.len()])
    }
    async fn ack(&self, handles: &[Handle]) -> Result<Vec<SettleOutcome>, QueueError> {
        Ok(vec![SettleOutcome::Done; handles.len()])
    }
    async fn release(&self, handles: &[Handle], _: Duration) -> Result<Vec<SettleOutcome>, QueueError> {
        Ok(vec![SettleOutcome::Done; handles.len()])
    }
    async fn reject(&self, entries: &[(Handle, Rejection)]) -> Result<Vec<SettleOutcome>, QueueError> {
        Ok(vec![SettleOutcome::Done; entries.len()])
    }
}

#[async_trait]
impl Objects for Nothing {
    async fn get(&self, _: &Locator, _: u64) -> Result<Object, ObjectsError> {
        Ok(Object { bytes: Bytes::from_static(b"x"), size: 1, etag: "e".into(), modified_ms: None })
    }
    async fn head(&self, locator: &Locator, limit: u64) -> Result<Object, ObjectsError> {
        self.get(locator, limit).await
    }
}

impl Decoder for Nothing {
    fn decode(&self, source: Bytes) -> Result<Frame, DecodeError> {
        let pixels = Pixels { width: 1, height: 1, data: vec![0; 3] };
        Ok(Frame { pixels, scale: 1.0, width: 1, height: 1, orientation: 1, taken: None, picture: None, source })
    }
    fn judge_header(&self, _: &[u8]) -> Option<f32> {
        None
    }
    fn judge_thumbnail(&self, _: &[u8]) -> Option<f32> {
        None
    }
}

#[async_trait]
impl Engine for Nothing {
    async fn analyse(&self, frames: Vec<Arc<Frame>>) -> Result<Vec<Analysis>, EngineError> {
        Ok(frames.iter().map(|_| Ok(Vec::new())).collect())
    }
    async fn rebuild(&self) -> Result<(), EngineError> {
        Ok(())
    }
}

#[async_trait]
impl Faces for Nothing {
    async fn commit(&self, batch: Vec<Commit>) -> Result<Vec<Result<(), FacesError>>, FacesError> {
        Ok(batch.iter().map(|_| Ok(())).collect())
    }
    async fn gallery(&self, _: &GalleryId) -> Result<GallerySnapshot, FacesError> {
        Ok(GallerySnapshot::default())
    }
    async fn save(&self, _: &GalleryId, _: GalleryVersion, _: &Reconciled) -> Result<(), FacesError> {
        Ok(())
    }
}

/// Messages a second through all actors.
fn messages(count: usize) {
    let ends = Arc::new(Nothing { left: AtomicUsize::new(count) });
    let ports = Ports {
        queue: Arc::clone(&ends) as _,
        releases: Arc::new(LocalReleases::default()),
        objects: Arc::clone(&ends) as _,
        analyses: None,
        decoder: Arc::clone(&ends) as _,
        isolated_decoder: Arc::clone(&ends) as _,
        engines: vec![Arc::clone(&ends) as _],
        faces: ends,
        reconcile: None,
    };
    let defaults = Settings::default();
    let limits = Limits { downloads: 64, decodes: 8 };
    let settings = Settings {
        credits: CreditSettings { count: 4_000, bytes: 1 << 30, estimate: 1 },
        fetcher: FetcherSettings { receive: 200, ..defaults.fetcher },
        limits,
        bounds: Bounds { least: limits, most: limits },
        batch: BatchLimits { count: 64, ..defaults.batch },
        ..defaults
    };
    let began = Instant::now();
    let (_, summary) = System::new().block_on(async move { start(ports, settings).finished().await });
    let seconds = began.elapsed().as_secs_f64();
    assert_eq!(summary.counts.no_faces, count as u64, "{summary:?}");
    println!("actors: {count} messages, {:.0} messages/s", count as f64 / seconds);
}
