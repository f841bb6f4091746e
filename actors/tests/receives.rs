//! What follows from how often a message was received, and from how many images it names.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use muster_actors::domain::gallery::{GalleryId, GallerySnapshot, GalleryVersion, Reconciled};
use muster_actors::domain::image::{Frame, Locator, Pixels, RejectReason, Rejection};
use muster_actors::errors::Class;
use muster_actors::flow::concurrency::{Bounds, Limits};
use muster_actors::flow::progress::Summary;
use muster_actors::pipeline::settings::{CreditSettings, FetcherSettings, Settings};
use muster_actors::ports::Ports;
use muster_actors::ports::decoder::{DecodeError, Decoder};
use muster_actors::ports::engine::{Analysis, Engine, EngineError};
use muster_actors::ports::faces::{Commit, Faces, FacesError};
use muster_actors::ports::objects::{Object, Objects, ObjectsError};
use muster_actors::ports::queue::{Delivery, Handle, Queue, QueueError, Received, SettleOutcome};
use muster_actors::ports::releases::{LocalReleases, Receive, Releases, ReleasesError};
use muster_actors::runtime::blocking::Blocking;
use muster_actors::start;
use tokio::task::LocalSet;
use tokio::time::sleep;

/// One message, and everything that an image of it needs.
#[derive(Default)]
struct World {
    delivery: parking_lot::Mutex<Option<Delivery>>,
    acked: AtomicUsize,
    committed: AtomicUsize,
    /// Images committed when the message was deleted.
    committed_before: AtomicUsize,
    open: AtomicUsize,
    most_open: AtomicUsize,
    apart: AtomicUsize,
}

#[async_trait]
impl Queue for World {
    fn visibility(&self) -> Duration {
        Duration::from_secs(600)
    }
    async fn receive(&self, _: usize) -> Result<Received, QueueError> {
        let deliveries: Vec<Delivery> = self.delivery.lock().take().into_iter().collect();
        Ok(Received { finished: deliveries.is_empty(), deliveries })
    }
    async fn extend(&self, handles: &[Handle]) -> Result<Vec<SettleOutcome>, QueueError> {
        Ok(vec![SettleOutcome::Done; handles.len()])
    }
    async fn ack(&self, handles: &[Handle]) -> Result<Vec<SettleOutcome>, QueueError> {
        self.acked.fetch_add(handles.len(), Ordering::Relaxed);
        self.committed_before.store(self.committed.load(Ordering::Relaxed), Ordering::Relaxed);
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
impl Objects for World {
    async fn get(&self, _: &Locator, _: u64) -> Result<Object, ObjectsError> {
        let open = self.open.fetch_add(1, Ordering::Relaxed) + 1;
        self.most_open.fetch_max(open, Ordering::Relaxed);
        sleep(Duration::from_secs(1)).await;
        self.open.fetch_sub(1, Ordering::Relaxed);
        Ok(Object { bytes: Bytes::from_static(b"x"), size: 1, etag: "e".into(), modified_ms: None })
    }
    async fn head(&self, locator: &Locator, limit: u64) -> Result<Object, ObjectsError> {
        self.get(locator, limit).await
    }
}

fn frame(source: Bytes) -> Frame {
    let pixels = Pixels { width: 1, height: 1, data: vec![0; 3] };
    Frame { pixels, scale: 1.0, width: 1, height: 1, orientation: 1, taken: None, picture: None, source }
}

impl Decoder for World {
    fn decode(&self, source: Bytes) -> Result<Frame, DecodeError> {
        Ok(frame(source))
    }
    fn judge_header(&self, _: &[u8]) -> Option<f32> {
        None
    }
    fn judge_thumbnail(&self, _: &[u8]) -> Option<f32> {
        None
    }
}

/// The decoder in a process of its own.
struct Isolated(Arc<World>);

impl Decoder for Isolated {
    fn decode(&self, source: Bytes) -> Result<Frame, DecodeError> {
        self.0.apart.fetch_add(1, Ordering::Relaxed);
        Ok(frame(source))
    }
    fn judge_header(&self, _: &[u8]) -> Option<f32> {
        None
    }
    fn judge_thumbnail(&self, _: &[u8]) -> Option<f32> {
        None
    }
}

#[async_trait]
impl Engine for World {
    async fn analyse(&self, frames: Vec<Arc<Frame>>) -> Result<Vec<Analysis>, EngineError> {
        Ok(frames.iter().map(|_| Ok(Vec::new())).collect())
    }
    async fn rebuild(&self) -> Result<(), EngineError> {
        Ok(())
    }
}

#[async_trait]
impl Faces for World {
    async fn commit(&self, batch: Vec<Commit>) -> Result<Vec<Result<(), FacesError>>, FacesError> {
        self.committed.fetch_add(batch.len(), Ordering::Relaxed);
        Ok(batch.iter().map(|_| Ok(())).collect())
    }
    async fn gallery(&self, _: &GalleryId) -> Result<GallerySnapshot, FacesError> {
        Ok(GallerySnapshot::default())
    }
    async fn save(&self, _: &GalleryId, _: GalleryVersion, _: &Reconciled) -> Result<(), FacesError> {
        Ok(())
    }
}

/// A service that knows nothing of releases.
struct Silent(Class);

#[async_trait]
impl Releases for Silent {
    async fn note(&self, _: &[Receive]) -> Result<(), ReleasesError> {
        Err(ReleasesError { class: self.0, message: "simulated".into() })
    }
    async fn count(&self, _: &[Receive]) -> Result<Vec<u32>, ReleasesError> {
        Err(ReleasesError { class: self.0, message: "simulated".into() })
    }
}

const CREDITS: usize = 8;

/// Runs a worker until the message has ended.
fn run(body: String, receive_count: u32, releases: Arc<dyn Releases>) -> (Arc<World>, Summary) {
    let world = Arc::new(World::default());
    let (handle, message) = (Handle("h".into()), "m".into());
    *world.delivery.lock() = Some(Delivery { handle, message, body, receive_count, trace: None, waited: None });
    let ports = Ports {
        queue: Arc::clone(&world) as _,
        releases,
        objects: Arc::clone(&world) as _,
        analyses: None,
        decoder: Arc::clone(&world) as _,
        isolated_decoder: Arc::new(Isolated(Arc::clone(&world))),
        engines: vec![Arc::clone(&world) as _],
        faces: Arc::clone(&world) as _,
        reconcile: None,
    };
    let defaults = Settings::default();
    let limits = Limits { downloads: 64, decodes: 2 };
    let settings = Settings {
        credits: CreditSettings { count: CREDITS, bytes: 1 << 30, estimate: 1 },
        fetcher: FetcherSettings { message_bytes: 16 << 20, ..defaults.fetcher },
        limits,
        bounds: Bounds { least: limits, most: limits },
        blocking: Blocking::InPlace,
        seed: 1,
        ..defaults
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    let ended = LocalSet::new().block_on(&runtime, async move { start(ports, settings).finished().await });
    (world, ended.1)
}

fn image() -> String {
    String::from(r#"{"bucket":"b","key":"1.jpg","gallery_id":"g"}"#)
}

#[test]
fn receives_that_ended_in_a_release_speak_against_no_image() {
    let most = FetcherSettings { ..Settings::default().fetcher }.max_receives;
    for (receives, noted, apart, rejected) in [
        (1, 0, 0, 0),
        (3, 2, 0, 0),
        (most + 30, most + 29, 0, 0),
        (3, 1, 1, 0),
        (2, 0, 1, 0),
        (most + 30, 30, 1, 0),
        (most + 30, 29, 0, 1),
        (most, 0, 1, 0),
        (most + 1, 0, 0, 1),
    ] {
        let releases = Arc::new(LocalReleases::default());
        let receive = |number| Receive { message: "m".into(), number };
        // A receive after this one, and one of another message, count for nothing here; one that is noted twice counts once.
        let mut receives_noted: Vec<Receive> = (1..=noted).map(receive).collect();
        receives_noted.push(receive(receives));
        receives_noted.push(Receive { message: "other".into(), number: 1 });
        for _ in 0..2 {
            futures_util::FutureExt::now_or_never(releases.note(&receives_noted)).unwrap().unwrap();
        }
        let (world, summary) = run(image(), receives, releases);
        let why = summary.rejections.first().map(|r| r.rejection.reason);
        let is = (world.apart.load(Ordering::Relaxed), summary.counts.rejected);
        assert_eq!(is, (apart, rejected), "{receives} receives, {noted} releases: {:?}", summary.counts);
        assert_eq!(why, (rejected > 0).then_some(RejectReason::TooManyAttempts));
    }
}

#[test]
fn an_image_that_nothing_is_known_of_is_treated_with_care_and_not_condemned() {
    for class in [Class::Transient, Class::Poison] {
        let (world, summary) = run(image(), 40, Arc::new(Silent(class)));
        let counts = &summary.counts;
        let is = (world.apart.load(Ordering::Relaxed), counts.rejected, counts.no_faces);
        assert_eq!(is, (1, 0, 1), "{class:?}: {counts:?}");
        let (world, summary) = run(image(), 1, Arc::new(Silent(class)));
        assert_eq!((world.apart.load(Ordering::Relaxed), summary.counts.no_faces), (0, 1), "nobody is asked");
    }
}

#[test]
fn a_message_with_thousands_of_images_is_taken_in_slices_and_deleted_after_the_last() {
    for images in [1, CREDITS, CREDITS + 1, 10_000] {
        let record = |n| format!(r#"{{"s3":{{"bucket":{{"name":"b"}},"object":{{"key":"g/{n}.jpg"}}}}}}"#);
        let records: Vec<String> = (0..images)
            .map(record)
            .map(|r| r.replacen('{', r#"{"eventName":"ObjectCreated:Put","eventSource":"aws:s3","#, 1))
            .collect();
        let body = format!(r#"{{"Records":[{}]}}"#, records.join(","));
        let (world, summary) = run(body, 1, Arc::new(LocalReleases::default()));
        assert_eq!(summary.counts.no_faces, images as u64, "{:?}", summary.counts);
        assert_eq!(world.acked.load(Ordering::Relaxed), 1);
        assert_eq!(world.committed_before.load(Ordering::Relaxed), images, "deleted after the last");
        let open = world.most_open.load(Ordering::Relaxed);
        assert_eq!(open, images.min(CREDITS), "of {images} images");
    }
}
