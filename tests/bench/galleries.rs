//! Grouping by the fleet at its limits, over a real MongoDB, SQS and S3, faces of 128 dimensions:
//!
//! - `cargo bench --bench galleries -- large [FACES]`: one gallery (1,000,000 faces). How long the first grouping takes and
//!   how much memory it needs, how long a detector's commits wait meanwhile, and how long 100 more faces take.
//! - `cargo bench --bench galleries -- many [GALLERIES [FACES [MINUTES [A_SECOND]]]]`: wake-ups for random galleries
//!   (10,000 with 400 faces each, 10 minutes, 4 a second), each after one more face. How long the oldest waited, and the
//!   worker's memory.

#[path = "../support/mod.rs"]
mod support;
#[path = "world.rs"]
mod world;

use std::collections::BTreeMap;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::stream::{self, StreamExt};
use muster_actors::domain::face::{BBox, Face, FaceId, Quality};
use muster_actors::domain::gallery::GalleryId;
use muster_actors::domain::image::{ImageRecord, ImageState, Locator};
use muster_actors::domain::timings::Timings;
use muster_actors::ports::faces::{Commit, Faces};
use muster_config::Secret;
use muster_stores::mongo::{Connection, MongoFaces, Uris};
use rand::Rng;
use support::fleet::{Fleet, Worker};
use support::stack::Stack;
use tokio::time::sleep;
use world::{SEED, World};

const DIMENSIONS: usize = 128;
/// Photos of one bulk, as the writer makes them.
const BULK: usize = 500;
/// Bulks on their way at once.
const AT_ONCE: usize = 4;
/// Between two looks at what is published.
const TICK: Duration = Duration::from_millis(200);

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let number = |place: usize, default: usize| {
        arguments.get(place).map_or(default, |text| text.parse().expect("a number of galleries, faces or minutes"))
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let site = Site::open().await;
        match arguments.first().map(String::as_str) {
            Some("large") => large(&site, number(1, 1_000_000)).await,
            Some("many") => many(&site, number(1, 10_000), number(2, 400), number(3, 10), number(4, 4)).await,
            // Hours on two cores: only when asked for.
            _ => println!("galleries: say `large` or `many`"),
        }
    });
}

/// A fleet, and its database from the side of those who detect.
struct Site {
    fleet: Fleet,
    store: MongoFaces,
}

/// The part of a worker's memory that is resident: now, and the most it was, in megabytes.
fn memory(worker: &Worker) -> (u64, u64) {
    let status = std::fs::read_to_string(format!("/proc/{}/status", worker.id())).unwrap();
    let of = |key: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() >> 10
    };
    (of("VmRSS:"), of("VmHWM:"))
}

fn gallery(number: usize) -> GalleryId {
    GalleryId(format!("g{number:05}"))
}

/// A photo with some embeddings.
fn photo(gallery: &GalleryId, name: &str, embeddings: &[&[f32]]) -> Commit {
    let locator = Locator { gallery: gallery.clone(), bucket: "b".into(), key: format!("{gallery}/{name}.jpg") };
    let id = locator.id();
    let face = |(n, embedding): (usize, &&[f32])| {
        let bbox = BBox { x: n as f32 * 50.0, y: 1.0, width: 40.0, height: 40.0 };
        Face {
            id: FaceId::new(id, "bench@1", &bbox),
            image: id,
            bbox,
            landmarks: [[1.0, 2.0]; 5],
            quality: Quality { overall: 0.7, ..Quality::default() },
            embedding: embedding.to_vec(),
            thumbnail: Vec::new(),
        }
    };
    let faces: Vec<Face> = embeddings.iter().enumerate().map(face).collect();
    let image = ImageRecord {
        id,
        locator,
        etag: "e".into(),
        bytes: 1,
        width: 200,
        height: 100,
        orientation: 1,
        taken: None,
        picture: None,
        state: ImageState::Indexed,
        rejection: None,
        quality: None,
        face_count: faces.len() as u32,
        model: "bench@1".into(),
    };
    Commit { image, faces, content: None, timings: Timings::default(), version: Default::default() }
}

/// The photos of some faces.
fn photos(gallery: &GalleryId, world: &mut World, count: usize) -> Vec<Commit> {
    let (faces, _) = world.gallery(count);
    let mut of_photo = BTreeMap::<_, Vec<&[f32]>>::new();
    for face in &faces {
        of_photo.entry(face.image).or_default().push(&face.embedding);
    }
    of_photo.into_iter().map(|(image, embeddings)| photo(gallery, &image.to_string(), &embeddings)).collect()
}

impl Site {
    async fn open() -> Self {
        let stack = Arc::new(Stack::start(&["mongo", "redis", "aws"]));
        let fleet = Fleet::new(&stack).await;
        let [gallery_images, huemn] = ["gallery_images", "huemn"].map(|name| Secret::from(fleet.uri(name).as_str()));
        let connection = Connection::open(&Uris { gallery_images: &gallery_images, huemn: &huemn }).await.unwrap();
        connection.ensure_indexes(None).await.unwrap();
        Self { store: MongoFaces::new(&connection, None), fleet }
    }

    async fn commit(&self, bulk: Vec<Commit>) {
        assert!(self.store.commit(bulk).await.unwrap().iter().all(Result::is_ok));
    }

    async fn fill(&self, photos: Vec<Commit>) {
        let bulks: Vec<Vec<Commit>> = photos.chunks(BULK).map(<[Commit]>::to_vec).collect();
        stream::iter(bulks).for_each_concurrent(AT_ONCE, |bulk| self.commit(bulk)).await;
    }

    async fn wake(&self, gallery: &GalleryId) {
        self.fleet.send_to(&self.fleet.galleries, [format!(r#"{{"gallery_id":"{gallery}"}}"#)]).await;
    }

    /// A worker that groups and stays.
    fn worker(&self) -> Worker {
        let log = support::repository().join(".cache/galleries.log");
        let log = std::fs::File::create(log).unwrap();
        let mut command = self.fleet.worker("group");
        Worker::start(command.env("MUSTER_FLEET__MODE", "ecs").stdout(Stdio::null()).stderr(log))
    }

    /// The generation of a gallery that its published groups are of; 0 where there are none.
    async fn published(&self, gallery: &GalleryId) -> u64 {
        let key = format!("galleries/{gallery}/index.json");
        let head = self.fleet.s3.head_object().bucket(&self.fleet.groups).key(key).send().await;
        let generation = head.ok().and_then(|head| head.metadata()?.get("generation")?.parse().ok());
        generation.unwrap_or(0)
    }

    /// Waits until groups of a generation are published.
    async fn wait(&self, gallery: &GalleryId, generation: u64, worker: &mut Worker) {
        while self.published(gallery).await < generation {
            assert!(worker.is_running(), "the worker ended: see .cache/galleries.log");
            sleep(TICK).await;
        }
    }
}

/// The worst and the middle of some times, in seconds.
fn spread(mut times: Vec<f64>) -> String {
    times.sort_by(f64::total_cmp);
    let at = |part: f64| times.get(((times.len().max(1) - 1) as f64 * part) as usize).copied().unwrap_or_default();
    format!("p50 {:.2} s, p99 {:.2} s, most {:.2} s ({} of them)", at(0.5), at(0.99), at(1.0), times.len())
}

async fn large(site: &Site, count: usize) {
    let gallery = gallery(0);
    let mut world = World::new(DIMENSIONS);
    let began = Instant::now();
    site.fill(photos(&gallery, &mut world, count)).await;
    println!("{count} faces x {DIMENSIONS}, seed {SEED}: written in {:.0} s", began.elapsed().as_secs_f64());
    let mut worker = site.worker();
    let began = Instant::now();
    site.wake(&gallery).await;
    // A detector goes on, a photo a second, until groups are published for the first time.
    let mut waits = Vec::new();
    while site.published(&gallery).await == 0 {
        assert!(worker.is_running(), "the worker ended: see .cache/galleries.log");
        let face = world.face(Some(waits.len() % world.people.len()));
        let asked = Instant::now();
        site.commit(vec![photo(&gallery, &format!("while-{}", waits.len()), &[&face.embedding])]).await;
        waits.push(asked.elapsed().as_secs_f64());
        sleep(Duration::from_secs(1)).await;
    }
    let first = began.elapsed().as_secs_f64();
    println!("first grouping, published: {first:.0} s; the worker's memory {} MB at most", memory(&worker).1);
    println!("commits meanwhile: {}", spread(waits));
    let generation = site.store.generation(&gallery).await.unwrap();
    site.wake(&gallery).await;
    site.wait(&gallery, generation, &mut worker).await;
    let mut times = Vec::new();
    for round in 0..3 {
        let faces: Vec<_> = (0..100).map(|n| world.face(Some(n * 7 % world.people.len()))).collect();
        let photos = faces.iter().enumerate();
        let photos =
            photos.map(|(n, face)| photo(&gallery, &format!("more-{round}-{n}"), &[&face.embedding])).collect();
        site.commit(photos).await;
        let generation = site.store.generation(&gallery).await.unwrap();
        let began = Instant::now();
        site.wake(&gallery).await;
        site.wait(&gallery, generation, &mut worker).await;
        times.push(began.elapsed().as_secs_f64());
    }
    println!("100 more faces, grouped and published: {}; memory {} MB at most", spread(times), memory(&worker).1);
}

async fn many(site: &Site, galleries: usize, faces: usize, minutes: usize, a_second: usize) {
    let mut world = World::new(DIMENSIONS);
    let began = Instant::now();
    for number in 0..galleries {
        let gallery = gallery(number);
        // One set of people is enough: galleries are apart.
        site.commit(photos(&gallery, &mut World::new(DIMENSIONS), faces)).await;
    }
    println!(
        "{galleries} galleries x {faces} faces x {DIMENSIONS}, seed {SEED}: written in {:.0} s",
        began.elapsed().as_secs_f64()
    );
    world.gallery(faces);
    let mut worker = site.worker();
    let length = Duration::from_secs(60 * minutes as u64);
    let (began, mut sent, mut sampled) = (Instant::now(), 0, Instant::now());
    let mut open = BTreeMap::<usize, (u64, Instant)>::new();
    let (mut waits, mut memories) = (Vec::new(), Vec::new());
    while began.elapsed() < length || !open.is_empty() {
        assert!(worker.is_running(), "the worker ended: see .cache/galleries.log");
        while began.elapsed() < length && (sent as f64) < began.elapsed().as_secs_f64() * a_second as f64 {
            let number = world.rng.random_range(0..galleries);
            let face = world.face(Some(sent % world.people.len()));
            site.commit(vec![photo(&gallery(number), &format!("more-{sent}"), &[&face.embedding])]).await;
            let generation = site.store.generation(&gallery(number)).await.unwrap();
            site.wake(&gallery(number)).await;
            // The first that asked waits longest.
            open.entry(number).and_modify(|(wanted, _)| *wanted = generation).or_insert((generation, Instant::now()));
            sent += 1;
        }
        let looks: Vec<_> = open.iter().map(|(number, (wanted, since))| (*number, *wanted, *since)).collect();
        let look = |(number, wanted, since): (usize, u64, Instant)| async move {
            (site.published(&gallery(number)).await >= wanted).then_some((number, since))
        };
        let done: Vec<_> = stream::iter(looks).map(look).buffer_unordered(8).collect().await;
        for (number, since) in done.into_iter().flatten() {
            open.remove(&number);
            waits.push(since.elapsed().as_secs_f64());
        }
        if sampled.elapsed() > Duration::from_secs(30) {
            sampled = Instant::now();
            memories.push(memory(&worker).0.to_string());
        }
        sleep(TICK).await;
    }
    println!("{sent} wake-ups in {minutes} min; from wake-up to published groups: {}", spread(waits));
    println!("the worker's memory each 30 s, in MB: {}; at most {}", memories.join(" "), memory(&worker).1);
}
