//! What galleries that are kept say of their memory is what was allocated for them.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use muster_actors::domain::capture::Capture;
use muster_actors::domain::face::FaceId;
use muster_actors::domain::gallery::{FaceVector, GalleryId, GallerySnapshot};
use muster_actors::domain::image::ImageId;
use muster_actors::grouping::dot::dot;
use muster_actors::grouping::{ClusteringCache, Params};
use muster_actors::ports::index::{Index, IndexError, IndexFactory, Neighbour};

/// Counts the bytes that are allocated now.
struct Counting;

static ALLOCATED: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is passed on to the system's allocator as it came; the counter is beside it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATED.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `alloc`, which is that of the system's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        ALLOCATED.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: `place` came from `alloc` above, that is from the system's.
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

const DIMENSIONS: usize = 32;

/// Compares each query with every vector.
struct Exhaustive(Vec<f32>);

impl Index for Exhaustive {
    fn len(&self) -> usize {
        self.0.len() / DIMENSIONS
    }

    fn bytes(&self) -> usize {
        self.0.capacity() * size_of::<f32>()
    }

    fn add(&mut self, vectors: &[f32]) -> Result<(), IndexError> {
        self.0.extend_from_slice(vectors);
        Ok(())
    }

    fn search(&self, queries: &[f32], _: usize) -> Result<Vec<Vec<Neighbour>>, IndexError> {
        self.range(queries, queries.len() / DIMENSIONS, f32::NEG_INFINITY)
    }

    fn range(&self, queries: &[f32], _: usize, least: f32) -> Result<Vec<Vec<Neighbour>>, IndexError> {
        let row = |query: &[f32]| {
            let all = self.0.chunks(DIMENSIONS).enumerate();
            let all = all.map(|(position, vector)| Neighbour { position, similarity: dot(query, vector) });
            let mut near: Vec<_> = all.filter(|neighbour| neighbour.similarity >= least).collect();
            near.sort_by(|a, b| b.similarity.total_cmp(&a.similarity).then(a.position.cmp(&b.position)));
            near
        };
        Ok(queries.chunks(DIMENSIONS).map(row).collect())
    }
}

struct Factory;

impl IndexFactory for Factory {
    fn create(&self, _: usize) -> Result<Box<dyn Index>, IndexError> {
        Ok(Box::new(Exhaustive(Vec::new())))
    }
}

/// Faces of people with ten photos each, taken in events, some of them poor.
fn faces(count: u64) -> Vec<FaceVector> {
    let mut state = 7u64;
    let mut random = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1u64 << 24) as f32
    };
    let mut person = Vec::new();
    let mut face = |number: u64| {
        if number.is_multiple_of(10) {
            person = (0..DIMENSIONS).map(|_| random() - 0.5).collect();
        }
        let vector: Vec<f32> = person.iter().map(|part| part + 0.15 * (random() - 0.5)).collect();
        let length = vector.iter().map(|part| part * part).sum::<f32>().sqrt();
        let id = |kind: u8| {
            let mut id = [kind; 16];
            id[..8].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes());
            id
        };
        FaceVector {
            id: FaceId(id(1)),
            image: ImageId(id(2)),
            embedding: vector.iter().map(|part| part / length).collect(),
            quality: if number.is_multiple_of(7) { 0.2 } else { 0.8 },
            capture: Capture::new(None, None, "b", &format!("{}/IMG_{number:04}.jpg", number / 20)),
            place: None,
        }
    };
    (0..count).map(&mut face).collect()
}

#[test]
fn the_memory_of_kept_galleries_is_what_was_allocated_for_them() {
    let faces = faces(6_000);
    let kept = ClusteringCache::new(Params::default(), Arc::new(Factory), usize::MAX);
    let snapshot = |count: usize| GallerySnapshot { faces: faces[..count].to_vec(), ..GallerySnapshot::default() };
    let of = GalleryId("g".to_owned());
    let before = ALLOCATED.load(Ordering::Relaxed);
    for count in [5_500, 6_000] {
        drop(kept.reconcile(&of, snapshot(count)).expect("equal dimensions"));
        let allocated = ALLOCATED.load(Ordering::Relaxed) - before;
        let ratio = kept.bytes() as f64 / allocated as f64;
        assert!((0.9..1.25).contains(&ratio), "{count} faces: {} of {allocated} bytes told", kept.bytes());
        // Vectors alone, which is what was counted before, are a part of it.
        assert!(allocated > 2 * count * DIMENSIONS * size_of::<f32>(), "{allocated} bytes");
    }
    drop(kept);
    let left = ALLOCATED.load(Ordering::Relaxed).saturating_sub(before);
    assert!(left < 100_000, "{left} bytes are left");
}
