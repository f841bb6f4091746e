//! What grouping a large gallery of a fleet costs: `cargo bench --bench gallery`, or another size with `-- 1000000`.
//!
//! Synthetic faces of 512 numbers, twenty of a person, go into MongoDB. Then the gallery is grouped for the first time and
//! read as it is published, while somebody commits a photo four times a second; then a hundred faces are added, and the same
//! again. A bench says so and fails where a grouping is late or a commit waits.

#[path = "../support/mod.rs"]
mod support;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use muster_actors::domain::face::{BBox, Face, FaceId, Quality};
use muster_actors::domain::gallery::GalleryId;
use muster_actors::domain::image::{ImageRecord, ImageState, Locator};
use muster_actors::domain::timings::Timings;
use muster_actors::grouping::{Kept, Params};
use muster_actors::ports::faces::{Commit, Faces};
use muster_config::Secret;
use muster_index::FlatFactory;
use muster_stores::mongo::{Connection, MongoFaces, Uris};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use support::stack::Stack;

const DIMENSIONS: usize = 512;
/// Faces of a person, and of a photo.
const OF_PERSON: usize = 20;
const OF_PHOTO: usize = 4;
/// Photos of a bulk, and bulks at once while the gallery is filled.
const BULK: usize = 125;
const WRITERS: usize = 4;
/// Faces that are added to a gallery which is grouped.
const ADDED: usize = 100;
/// Between two commits beside a grouping.
const PAUSE: Duration = Duration::from_millis(250);
/// How long a commit may wait, and a grouping of few new faces may take.
const COMMIT: Duration = Duration::from_secs(1);
const FEW: Duration = Duration::from_secs(10);
/// A first grouping of a million faces, and memory for it.
const FIRST: Duration = Duration::from_secs(1200);
const MEMORY: f64 = 8.0;

fn gallery() -> GalleryId {
    GalleryId("bench".to_owned())
}

fn vector(rng: &mut ChaCha8Rng) -> Vec<f32> {
    let vector: Vec<f32> = (0..DIMENSIONS).map(|_| rng.random::<f32>() + rng.random::<f32>() - 1.0).collect();
    normal(&vector)
}

fn normal(vector: &[f32]) -> Vec<f32> {
    let norm = vector.iter().map(|value| value * value).sum::<f32>().sqrt();
    vector.iter().map(|value| value / norm).collect()
}

/// The face with a number: near all others of its person.
fn embedding(number: usize, persons: usize) -> Vec<f32> {
    // Faces of one photo are of different people.
    let person = number % persons;
    let (mut of_person, mut of_face) =
        (ChaCha8Rng::seed_from_u64(person as u64), ChaCha8Rng::seed_from_u64(1 << 40 | number as u64));
    let (centre, noise) = (vector(&mut of_person), vector(&mut of_face));
    normal(&centre.iter().zip(noise).map(|(centre, noise)| centre + 0.5 * noise).collect::<Vec<_>>())
}

fn photo(first: usize, persons: usize) -> Commit {
    let locator = Locator {
        gallery: gallery(),
        bucket: "photos".to_owned(),
        key: format!("{:03}/{first}.jpg", first / OF_PHOTO % 997),
    };
    let id = locator.id();
    let face = |n: usize| {
        let bbox = BBox { x: 200.0 * n as f32, y: 50.0, width: 150.0, height: 180.0 };
        let quality = Quality { overall: 0.8, ..Quality::default() }.with_face(1.0);
        Face {
            id: FaceId::new(id, "bench@1", &bbox),
            image: id,
            bbox,
            landmarks: [[1.0; 2]; 5],
            quality,
            embedding: embedding(first + n, persons),
            thumbnail: Vec::new(),
        }
    };
    let image = ImageRecord {
        id,
        locator,
        etag: "e".to_owned(),
        bytes: 1,
        width: 1000,
        height: 800,
        orientation: 1,
        taken: None,
        picture: None,
        state: ImageState::Indexed,
        rejection: None,
        quality: Some(0.8),
        face_count: OF_PHOTO as u32,
        model: "bench@1".to_owned(),
    };
    Commit {
        image,
        faces: (0..OF_PHOTO).map(face).collect(),
        content: None,
        version: Default::default(),
        timings: Timings::default(),
    }
}

async fn commit(store: &MongoFaces, batch: Vec<Commit>) {
    assert!(store.commit(batch).await.unwrap().iter().all(Result::is_ok));
}

async fn fill(store: &Arc<MongoFaces>, size: usize, persons: usize) {
    let began = Instant::now();
    let writers = (0..WRITERS).map(|writer| {
        let store = Arc::clone(store);
        tokio::spawn(async move {
            let firsts: Vec<usize> = (0..size).step_by(OF_PHOTO).collect();
            for bulk in firsts.chunks(BULK).skip(writer).step_by(WRITERS) {
                commit(&store, bulk.iter().map(|first| photo(*first, persons)).collect()).await;
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    println!("{size} faces written in {:.0?}", began.elapsed());
}

/// The most memory that this process held, in GiB.
fn peak() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0 / 1024.0
}

/// Groups the gallery as a worker does, and reads what it publishes; how long all of it took.
async fn group(store: &MongoFaces, kept: &Arc<Kept>, what: &str) -> Duration {
    let began = Instant::now();
    let snapshot = store.gallery(&gallery()).await.unwrap();
    let (read, faces, version) = (began.elapsed(), snapshot.faces.len(), snapshot.version);
    let of = Arc::clone(kept);
    let made = tokio::task::spawn_blocking(move || of.reconcile(&gallery(), snapshot)).await.unwrap().unwrap();
    let grouped = began.elapsed();
    store.save(&gallery(), version, &made).await.unwrap();
    let saved = began.elapsed();
    let groups = made.partition.groups.len();
    drop(made);
    let album = store.album(&gallery()).await.unwrap();
    let took = began.elapsed();
    println!(
        "{what}: {faces} faces, {groups} groups ({} read back) in {took:.1?}: read {read:.1?}, grouped {:.1?}, saved {:.1?}, \
         read for publishing {:.1?}; peak {:.1} GiB",
        album.groups.len(),
        grouped.saturating_sub(read),
        saved.saturating_sub(grouped),
        took.saturating_sub(saved),
        peak(),
    );
    took
}

/// The longest that a commit of one photo took, until `done`.
async fn commits(store: Arc<MongoFaces>, mut first: usize, persons: usize, done: Arc<AtomicBool>) -> (Duration, usize) {
    let (mut longest, mut count) = (Duration::ZERO, 0);
    while !done.load(Ordering::Relaxed) {
        let batch = vec![photo(first, persons)];
        let began = Instant::now();
        commit(&store, batch).await;
        longest = longest.max(began.elapsed());
        (first, count) = (first + OF_PHOTO, count + 1);
        tokio::time::sleep(PAUSE).await;
    }
    (longest, count)
}

async fn bench(size: usize) -> bool {
    let stack = Stack::start(&["mongo"]);
    let uri = Secret::from(stack.url("mongo").replace("/?", "/bench_faces?").as_str());
    let connection = Connection::open(&Uris { gallery_images: &uri, huemn: &Secret::default() }).await.unwrap();
    connection.ensure_indexes(None).await.unwrap();
    let store = Arc::new(MongoFaces::new(&connection, None));
    let persons = size.div_ceil(OF_PERSON);
    fill(&store, size, persons).await;
    let kept = Arc::new(Kept::new(Params::around(0.4), Arc::new(FlatFactory), usize::MAX));
    let done = Arc::new(AtomicBool::new(false));
    let beside = tokio::spawn(commits(Arc::clone(&store), size, persons, Arc::clone(&done)));
    let first = group(&store, &kept, "first grouping").await;
    done.store(true, Ordering::Relaxed);
    let (longest, count) = beside.await.unwrap();
    println!("{count} commits of a photo beside it, the slowest {longest:.2?}");
    // Those that came meanwhile are in groups then.
    group(&store, &kept, "what came meanwhile").await;
    let last = size + OF_PHOTO * count;
    commit(&store, (0..ADDED / OF_PHOTO).map(|n| photo(last + OF_PHOTO * n, persons)).collect()).await;
    let few = group(&store, &kept, "100 faces more").await;
    let memory = peak();
    first <= FIRST && few <= FEW && longest <= COMMIT && memory <= MEMORY
}

fn main() -> ExitCode {
    let size = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(100_000);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    if runtime.block_on(bench(size)) {
        ExitCode::SUCCESS
    } else {
        println!(
            "over the bound: {FIRST:?} and {MEMORY} GiB for the first, {FEW:?} for 100 faces, {COMMIT:?} for a commit"
        );
        ExitCode::FAILURE
    }
}
