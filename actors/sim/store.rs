//! A fake of the store: partial bulks, failover, lost replies, overload, and generations that conflict.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use crate::error::Class;
use crate::gallery::{FaceVector, GalleryId, GallerySnapshot, Group, GroupId, Partition, Reconciled};
use crate::image::{ImageId, ImageState, RejectReason, Rejection, digest};
use crate::ports::faces::{Commit, Faces, FacesError};
use crate::ports::index::IndexError;
use crate::sim::scenario::Kind;
use crate::sim::world::{World, locator, number};

#[derive(Default)]
struct State {
    images: BTreeMap<ImageId, Commit>,
    generations: BTreeMap<GalleryId, u64>,
    partitions: BTreeMap<GalleryId, Partition>,
}

/// The store of the simulated world.
#[derive(Clone)]
pub struct SimFaces {
    world: World,
    state: Arc<Mutex<State>>,
}

fn failed(class: Class) -> FacesError {
    FacesError::Failed { class, message: String::from("simulated") }
}

impl SimFaces {
    /// An empty store.
    pub fn new(world: &World) -> Self {
        Self { world: world.clone(), state: Arc::default() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How image `number` is stored.
    pub(super) fn state_of(&self, number: usize) -> Option<ImageState> {
        self.stored(number).map(|commit| commit.image.state)
    }

    /// What is stored of image `number`.
    pub(super) fn stored(&self, number: usize) -> Option<Commit> {
        self.lock().images.get(&locator(number).id()).cloned()
    }

    /// Images stored.
    pub(super) fn len(&self) -> usize {
        self.lock().images.len()
    }

    /// Galleries whose groups do not hold exactly the faces that are stored.
    pub(super) fn stale(&self) -> Vec<GalleryId> {
        let state = self.lock();
        let mut stale = Vec::new();
        for gallery in state.generations.keys() {
            let faces = vectors(&state, gallery).into_iter().map(|face| face.id);
            let grouped = state.partitions.get(gallery).map(|p| p.groups.iter().flat_map(|g| g.faces.clone()));
            if !faces.eq(grouped.into_iter().flatten()) {
                stale.push(gallery.clone());
            }
        }
        stale
    }

    /// How a call goes: not at all, done and said so, or done and answered with an error.
    async fn call(&self) -> Result<bool, FacesError> {
        let bulk = self.world.look(|s| s.bulk_time);
        self.world.latency(bulk).await;
        let now = self.world.elapsed();
        let (failover, down) = self.world.look(|s| (s.failover, s.store_down));
        if down.is_some_and(|at| now >= at) {
            self.world.allow(81, true);
            return Err(failed(Class::DependencyDown));
        }
        if failover.is_some_and(|(at, length)| now >= at && now < at + length) || self.world.chance(|s| s.store_errors)
        {
            // The last grouping may run out of retries.
            self.world.allow(81, false);
            return Err(failed(Class::Transient));
        }
        if self.world.chance(|s| s.store_overload) {
            return Err(failed(Class::Throttled { retry_after: Some(Duration::from_millis(300)) }));
        }
        Ok(self.world.chance(|s| s.lost_replies))
    }
}

fn vectors(state: &State, gallery: &GalleryId) -> Vec<FaceVector> {
    let of = state.images.values().filter(|commit| commit.image.locator.gallery == *gallery);
    let mut faces: Vec<FaceVector> = of
        .flat_map(|commit| &commit.faces)
        .map(|face| FaceVector {
            id: face.id,
            image: face.image,
            embedding: face.embedding.clone(),
            quality: face.quality.overall,
        })
        .collect();
    faces.sort_by_key(|face| face.id);
    faces
}

/// Groups all faces of a gallery as one person: what matters here is that no face is forgotten.
#[allow(clippy::needless_pass_by_value, reason = "the port hands it over")]
pub fn reconcile(snapshot: GallerySnapshot) -> Result<Reconciled, IndexError> {
    let faces: Vec<_> = snapshot.faces.iter().map(|face| face.id).collect();
    let groups = faces.first().map(|cover| Group {
        id: GroupId(digest("sim", &[])),
        cover: *cover,
        faces: faces.clone(),
        centroid: vec![1.0],
        name: None,
    });
    let partition = Partition { groups: groups.into_iter().collect(), redirects: BTreeMap::new() };
    Ok(Reconciled { partition, lineage: Vec::new() })
}

#[async_trait]
impl Faces for SimFaces {
    async fn commit(&self, batch: Vec<Commit>) -> Result<Vec<Result<(), FacesError>>, FacesError> {
        let lost = self.call().await.inspect_err(|error| self.world.note(|| format!("store.commit {error}")))?;
        let mut outcomes = Vec::new();
        for commit in batch {
            if self.world.chance(|s| s.store_partial) {
                outcomes.push(Err(failed(Class::Transient)));
                continue;
            }
            if self.world.look(|s| s.images.get(number(&commit.image.locator)) == Some(&Kind::Forgotten)) {
                outcomes.push(Err(Rejection::new(RejectReason::Forgotten, "simulated").into()));
                continue;
            }
            let mut state = self.lock();
            *state.generations.entry(commit.image.locator.gallery.clone()).or_default() += 1;
            self.world.note(|| format!("store.commit {} {:?}", commit.image.locator.key, commit.image.state));
            state.images.insert(commit.image.id, commit);
            drop(state);
            outcomes.push(Ok(()));
        }
        if lost {
            self.world.note(|| String::from("store.commit done, reply lost"));
            return Err(failed(Class::Transient));
        }
        Ok(outcomes)
    }

    async fn gallery(&self, gallery: &GalleryId) -> Result<GallerySnapshot, FacesError> {
        self.call().await?;
        let state = self.lock();
        Ok(GallerySnapshot {
            generation: state.generations.get(gallery).copied().unwrap_or(0),
            faces: vectors(&state, gallery),
            decisions: Vec::new(),
            previous: state.partitions.get(gallery).cloned().unwrap_or_default(),
        })
    }

    async fn save(&self, gallery: &GalleryId, generation: u64, reconciled: &Reconciled) -> Result<(), FacesError> {
        let lost = self.call().await?;
        let mut state = self.lock();
        if state.generations.get(gallery).copied().unwrap_or(0) != generation {
            return Err(FacesError::Conflict);
        }
        *state.generations.entry(gallery.clone()).or_default() += 1;
        state.partitions.insert(gallery.clone(), reconciled.partition.clone());
        drop(state);
        self.world.note(|| format!("store.save {gallery}"));
        if lost { Err(failed(Class::Transient)) } else { Ok(()) }
    }
}
