//! An index of the people of one gallery. While groups keep changing, searches use the people as of a moment ago.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use muster_actors::domain::gallery::GalleryId;
use muster_actors::grouping::identification::{Candidate, Enrolled};
use muster_actors::ports::faces::FacesError;
use muster_actors::ports::index::IndexError;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::OwnedMutexGuard;
use tokio::time::Instant;

use super::error::RecognitionIndexError;
use super::galleries::Galleries;
use muster_index::FlatFactory;

/// Shortest interval between checks whether the groups have changed.
const FRESH: Duration = Duration::from_millis(250);
/// Reading the people takes at most one part in this many of the time.
const SHARE: u32 = 10;
/// Age from which the people are too old to answer a request with.
const STALE: Duration = Duration::from_secs(300);

/// The people of a gallery in one of its generations.
pub(super) struct GalleryPeople {
    generation: u64,
    read: Instant,
    /// When the generation was last found current.
    checked: Mutex<Instant>,
    /// Time that reading took.
    took: Duration,
    // FAISS's indexes may not be shared between threads.
    enrolled: Mutex<Enrolled>,
}

/// Keeps the people of one gallery in memory, and reads them again when they change.
pub(super) struct GalleryIndex {
    gallery: GalleryId,
    galleries: Arc<dyn Galleries>,
    dimensions: usize,
    known: Mutex<Option<Arc<GalleryPeople>>>,
    /// Held by the task that reads, so that the others need not.
    reading: Arc<tokio::sync::Mutex<()>>,
    /// Number of corrections that this process made. A read that began before one is outdated.
    changes: AtomicU64,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock()
}

impl GalleryPeople {
    fn age(&self) -> Duration {
        lock(&self.checked).elapsed()
    }

    /// Tells whether the people may be read again already.
    fn is_due(&self) -> bool {
        self.read.elapsed() >= self.took * SHARE
    }

    /// Searches the people that each probe resembles. It blocks.
    pub(super) fn search(&self, probes: &[Vec<f32>], keep: usize) -> Result<Vec<Vec<Candidate>>, IndexError> {
        let probes: Vec<&[f32]> = probes.iter().map(Vec::as_slice).collect();
        lock(&self.enrolled).search(&probes, keep)
    }
}

impl GalleryIndex {
    pub(super) fn new(gallery: GalleryId, galleries: Arc<dyn Galleries>, dimensions: usize) -> Self {
        let (known, reading, changes) = (Mutex::default(), Arc::default(), AtomicU64::new(0));
        Self { gallery, galleries, dimensions, known, reading, changes }
    }

    /// Drops the people after a correction, so that the next caller sees it.
    pub(super) fn changed(&self) {
        self.changes.fetch_add(1, Ordering::Relaxed);
        *lock(&self.known) = None;
    }

    /// Returns the amount of numbers in all vectors.
    pub(super) fn size(&self) -> usize {
        self.current().map_or(0, |known| lock(&known.enrolled).len() * self.dimensions)
    }

    fn current(&self) -> Option<Arc<GalleryPeople>> {
        lock(&self.known).clone()
    }

    /// Returns the people as they are, or were a moment ago.
    pub(super) async fn known(self: &Arc<Self>) -> Result<Arc<GalleryPeople>, RecognitionIndexError> {
        let known = self.current().filter(|known| known.age() < STALE);
        match known {
            Some(known) if known.age() < FRESH => Ok(known),
            Some(known) => match Arc::clone(&self.reading).try_lock_owned() {
                // Another task checks; callers use the known people meanwhile.
                Err(_) => Ok(known),
                Ok(turn) => self.look(known, turn).await,
            },
            None => {
                let turn = Arc::clone(&self.reading).lock_owned().await;
                // Another caller may have read the people meanwhile. They are used however long that took.
                match self.current().filter(|known| known.age() < STALE) {
                    Some(known) => Ok(known),
                    None => self.read(turn).await,
                }
            }
        }
    }

    /// Checks whether the people are current. It reads them again at once where that is quick, otherwise in the background.
    async fn look(
        self: &Arc<Self>,
        known: Arc<GalleryPeople>,
        turn: OwnedMutexGuard<()>,
    ) -> Result<Arc<GalleryPeople>, RecognitionIndexError> {
        let asked = Instant::now();
        match self.galleries.generation(&self.gallery).await? {
            Some(generation) if generation == known.generation => {
                *lock(&known.checked) = asked;
                Ok(known)
            }
            Some(_) if !known.is_due() => Ok(known),
            Some(_) if known.took < FRESH => self.read(turn).await,
            Some(_) => {
                let index = Arc::clone(self);
                tokio::spawn(async move {
                    if let Err(error) = index.read(turn).await {
                        tracing::warn!(%error, "recognition.read");
                    }
                });
                Ok(known)
            }
            None => Err(RecognitionIndexError::NoGallery(self.gallery.clone())),
        }
    }

    /// Reads the people in a task that continues when the caller leaves.
    async fn read(self: &Arc<Self>, turn: OwnedMutexGuard<()>) -> Result<Arc<GalleryPeople>, RecognitionIndexError> {
        let index = Arc::clone(self);
        let read = tokio::spawn(async move {
            let read = index.fetch().await;
            drop(turn);
            read
        });
        read.await.map_err(FacesError::from)?
    }

    async fn fetch(&self) -> Result<Arc<GalleryPeople>, RecognitionIndexError> {
        loop {
            let (changes, begun) = (self.changes.load(Ordering::Relaxed), Instant::now());
            if self.galleries.generation(&self.gallery).await?.is_none() {
                return Err(RecognitionIndexError::NoGallery(self.gallery.clone()));
            }
            let snapshot = self.galleries.snapshot(&self.gallery).await?;
            let (generation, dimensions) = (snapshot.version.generation, self.dimensions);
            let build = move || Enrolled::new(&snapshot, dimensions, &FlatFactory).map(Mutex::new);
            let enrolled = tokio::task::spawn_blocking(build).await.map_err(FacesError::from)??;
            let (checked, took) = (Mutex::new(begun), begun.elapsed());
            let fresh = Arc::new(GalleryPeople { generation, read: Instant::now(), checked, took, enrolled });
            let mut known = lock(&self.known);
            if self.changes.load(Ordering::Relaxed) == changes {
                *known = Some(Arc::clone(&fresh));
                return Ok(fresh);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use async_trait::async_trait;
    use muster_actors::domain::face::FaceId;
    use muster_actors::domain::gallery::{FaceVector, GallerySnapshot, GalleryVersion, Group, GroupId};
    use muster_actors::domain::image::ImageId;
    use muster_actors::ports::faces::FacesError;

    use super::*;

    /// A gallery of one person, whose name tells its generation.
    #[derive(Default)]
    struct One {
        generation: AtomicU64,
        reads: AtomicU64,
        slow: AtomicBool,
        away: AtomicBool,
    }

    #[async_trait]
    impl Galleries for One {
        async fn generation(&self, gallery: &GalleryId) -> Result<Option<u64>, FacesError> {
            if self.away.load(Ordering::SeqCst) {
                let message = "away".to_owned();
                return Err(FacesError::Failed { class: muster_actors::errors::Class::Transient, message });
            }
            Ok((gallery.0 == "g").then(|| self.generation.load(Ordering::SeqCst)))
        }

        async fn snapshot(&self, _: &GalleryId) -> Result<GallerySnapshot, FacesError> {
            self.reads.fetch_add(1, Ordering::SeqCst);
            if self.slow.load(Ordering::SeqCst) {
                tokio::time::sleep(4 * FRESH).await;
            }
            let (face, generation) = (FaceId([1; 16]), self.generation.load(Ordering::SeqCst));
            let version = GalleryVersion { generation, ..GalleryVersion::default() };
            let mut snapshot = GallerySnapshot { version, ..GallerySnapshot::default() };
            let embedding = vec![1.0, 0.0];
            snapshot.faces.push(FaceVector {
                id: face,
                image: ImageId([1; 16]),
                embedding: embedding.clone(),
                quality: 1.0,
                capture: Default::default(),
                place: None,
            });
            let (id, name) = (GroupId([1; 16]), Some(format!("generation {generation}")));
            snapshot.previous.groups.push(Group { id, faces: vec![face], cover: face, centroid: embedding, name });
            Ok(snapshot)
        }
    }

    async fn name(index: &Arc<GalleryIndex>) -> String {
        let known = index.known().await.unwrap();
        known.search(&[vec![1.0, 0.0]], 1).unwrap()[0][0].name.clone().unwrap()
    }

    fn index(of: &str) -> (Arc<One>, Arc<GalleryIndex>) {
        let one = Arc::new(One::default());
        (Arc::clone(&one), Arc::new(GalleryIndex::new(GalleryId(of.into()), one, 2)))
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_is_seen_a_moment_later_and_at_once_where_it_was_made_here() {
        let (one, index) = index("g");
        assert_eq!(name(&index).await, "generation 0");
        one.generation.store(1, Ordering::SeqCst);
        assert_eq!(name(&index).await, "generation 0", "it was asked a moment ago");
        index.changed();
        assert_eq!(name(&index).await, "generation 1");
        one.generation.store(2, Ordering::SeqCst);
        tokio::time::sleep(FRESH + Duration::from_millis(50)).await;
        assert_eq!((name(&index).await.as_str(), one.reads.load(Ordering::SeqCst)), ("generation 2", 3));
        tokio::time::sleep(FRESH + Duration::from_millis(50)).await;
        assert_eq!(
            (name(&index).await.as_str(), one.reads.load(Ordering::SeqCst)),
            ("generation 2", 3),
            "nothing changed"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn many_who_ask_first_share_one_reading_and_a_gallery_that_is_none_is_said_to_be_none() {
        let (one, index) = index("g");
        one.slow.store(true, Ordering::SeqCst);
        let all = futures_util::future::join_all((0..50).map(|_| name(&index))).await;
        assert!(all.iter().all(|name| name == "generation 0"));
        assert_eq!(one.reads.load(Ordering::SeqCst), 1);
        let (_, other) = self::index("nobodys");
        assert!(matches!(other.known().await, Err(RecognitionIndexError::NoGallery(_))));
        one.away.store(true, Ordering::SeqCst);
        index.changed();
        assert!(matches!(index.known().await, Err(RecognitionIndexError::Store(_))));
    }
}
