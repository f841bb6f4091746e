//! The people of one gallery, ready to be searched. While groups change all the time they are searched as they were a moment ago.

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

use super::error::CrowdError;
use super::galleries::Galleries;
use muster_index::FlatFactory;

/// Whether the groups have changed is asked so often at most.
const FRESH: Duration = Duration::from_millis(250);
/// Reading them is this part of the time at most.
const SHARE: u32 = 10;
/// Nobody is answered by people that are known to be so much older.
const STALE: Duration = Duration::from_secs(300);

/// As the people were in one generation of their gallery.
pub(super) struct Known {
    generation: u64,
    read: Instant,
    /// When it was still so.
    checked: Mutex<Instant>,
    /// How long reading took.
    took: Duration,
    // FAISS's indexes may not be shared between threads.
    enrolled: Mutex<Enrolled>,
}

/// One gallery's people.
pub(super) struct Circle {
    gallery: GalleryId,
    galleries: Arc<dyn Galleries>,
    dimensions: usize,
    known: Mutex<Option<Arc<Known>>>,
    /// One reads, and the others need not.
    reading: Arc<tokio::sync::Mutex<()>>,
    /// Corrections that this process made: what was being read meanwhile is old.
    changes: AtomicU64,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock()
}

impl Known {
    fn age(&self) -> Duration {
        lock(&self.checked).elapsed()
    }

    /// Whether they may be read again already.
    fn is_due(&self) -> bool {
        self.read.elapsed() >= self.took * SHARE
    }

    /// Whom each probe resembles. Blocking.
    pub(super) fn search(&self, probes: &[Vec<f32>], keep: usize) -> Result<Vec<Vec<Candidate>>, IndexError> {
        let probes: Vec<&[f32]> = probes.iter().map(Vec::as_slice).collect();
        lock(&self.enrolled).search(&probes, keep)
    }
}

impl Circle {
    pub(super) fn new(gallery: GalleryId, galleries: Arc<dyn Galleries>, dimensions: usize) -> Self {
        let (known, reading, changes) = (Mutex::default(), Arc::default(), AtomicU64::new(0));
        Self { gallery, galleries, dimensions, known, reading, changes }
    }

    /// A person changed the groups: the next caller sees it.
    pub(super) fn changed(&self) {
        self.changes.fetch_add(1, Ordering::Relaxed);
        *lock(&self.known) = None;
    }

    /// Numbers in all vectors.
    pub(super) fn size(&self) -> usize {
        self.current().map_or(0, |known| lock(&known.enrolled).len() * self.dimensions)
    }

    fn current(&self) -> Option<Arc<Known>> {
        lock(&self.known).clone()
    }

    /// As the groups are, or were a moment ago.
    pub(super) async fn known(self: &Arc<Self>) -> Result<Arc<Known>, CrowdError> {
        let known = self.current().filter(|known| known.age() < STALE);
        match known {
            Some(known) if known.age() < FRESH => Ok(known),
            Some(known) => match Arc::clone(&self.reading).try_lock_owned() {
                // Somebody looks, and whoever asks meanwhile has what is known.
                Err(_) => Ok(known),
                Ok(turn) => self.look(known, turn).await,
            },
            None => {
                let turn = Arc::clone(&self.reading).lock_owned().await;
                // What another caller read meanwhile, however long that took: who waited is not to read once more.
                match self.current().filter(|known| known.age() < STALE) {
                    Some(known) => Ok(known),
                    None => self.read(turn).await,
                }
            }
        }
    }

    /// Whether what is known still is so. It is read again where that is quick, else in the background.
    async fn look(self: &Arc<Self>, known: Arc<Known>, turn: OwnedMutexGuard<()>) -> Result<Arc<Known>, CrowdError> {
        let asked = Instant::now();
        match self.galleries.generation(&self.gallery).await? {
            Some(generation) if generation == known.generation => {
                *lock(&known.checked) = asked;
                Ok(known)
            }
            Some(_) if !known.is_due() => Ok(known),
            Some(_) if known.took < FRESH => self.read(turn).await,
            Some(_) => {
                let circle = Arc::clone(self);
                tokio::spawn(async move {
                    if let Err(error) = circle.read(turn).await {
                        tracing::warn!(%error, "recognition.read");
                    }
                });
                Ok(known)
            }
            None => Err(CrowdError::NoGallery(self.gallery.clone())),
        }
    }

    /// Reads them, whether or not whoever waits for it stays.
    async fn read(self: &Arc<Self>, turn: OwnedMutexGuard<()>) -> Result<Arc<Known>, CrowdError> {
        let circle = Arc::clone(self);
        let read = tokio::spawn(async move {
            let read = circle.fetch().await;
            drop(turn);
            read
        });
        read.await.map_err(FacesError::from)?
    }

    async fn fetch(&self) -> Result<Arc<Known>, CrowdError> {
        loop {
            let (changes, begun) = (self.changes.load(Ordering::Relaxed), Instant::now());
            if self.galleries.generation(&self.gallery).await?.is_none() {
                return Err(CrowdError::NoGallery(self.gallery.clone()));
            }
            let snapshot = self.galleries.snapshot(&self.gallery).await?;
            let (generation, dimensions) = (snapshot.version.generation, self.dimensions);
            let build = move || Enrolled::new(&snapshot, dimensions, &FlatFactory).map(Mutex::new);
            let enrolled = tokio::task::spawn_blocking(build).await.map_err(FacesError::from)??;
            let (checked, took) = (Mutex::new(begun), begun.elapsed());
            let fresh = Arc::new(Known { generation, read: Instant::now(), checked, took, enrolled });
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

    async fn name(circle: &Arc<Circle>) -> String {
        let known = circle.known().await.unwrap();
        known.search(&[vec![1.0, 0.0]], 1).unwrap()[0][0].name.clone().unwrap()
    }

    fn circle(of: &str) -> (Arc<One>, Arc<Circle>) {
        let one = Arc::new(One::default());
        (Arc::clone(&one), Arc::new(Circle::new(GalleryId(of.into()), one, 2)))
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_is_seen_a_moment_later_and_at_once_where_it_was_made_here() {
        let (one, circle) = circle("g");
        assert_eq!(name(&circle).await, "generation 0");
        one.generation.store(1, Ordering::SeqCst);
        assert_eq!(name(&circle).await, "generation 0", "it was asked a moment ago");
        circle.changed();
        assert_eq!(name(&circle).await, "generation 1");
        one.generation.store(2, Ordering::SeqCst);
        tokio::time::sleep(FRESH + Duration::from_millis(50)).await;
        assert_eq!((name(&circle).await.as_str(), one.reads.load(Ordering::SeqCst)), ("generation 2", 3));
        tokio::time::sleep(FRESH + Duration::from_millis(50)).await;
        assert_eq!(
            (name(&circle).await.as_str(), one.reads.load(Ordering::SeqCst)),
            ("generation 2", 3),
            "nothing changed"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn many_who_ask_first_share_one_reading_and_a_gallery_that_is_none_is_said_to_be_none() {
        let (one, circle) = circle("g");
        one.slow.store(true, Ordering::SeqCst);
        let all = futures_util::future::join_all((0..50).map(|_| name(&circle))).await;
        assert!(all.iter().all(|name| name == "generation 0"));
        assert_eq!(one.reads.load(Ordering::SeqCst), 1);
        let (_, other) = self::circle("nobodys");
        assert!(matches!(other.known().await, Err(CrowdError::NoGallery(_))));
        one.away.store(true, Ordering::SeqCst);
        circle.changed();
        assert!(matches!(circle.known().await, Err(CrowdError::Store(_))));
    }
}
