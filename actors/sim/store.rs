//! A fake of the store: partial bulks, failover, lost replies, overload, and groups that conflict.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::{Mutex, MutexGuard};

use crate::domain::capture::Capture;
use crate::domain::face::FaceId;
use crate::domain::facts::Facts;
use crate::domain::gallery::{FaceVector, GalleryId, GallerySnapshot, GalleryVersion, Partition, Reconciled};
use crate::domain::image::{ImageId, ImageState, RejectReason, Rejection};
use crate::errors::Class;
use crate::grouping::identity::identify;
use crate::ports::faces::{Commit, Faces, FacesError};
use crate::ports::index::IndexError;
use crate::sim::host::Host;
use crate::sim::scenario::Kind;
use crate::sim::world::{locator, number};

#[derive(Default)]
struct State {
    images: BTreeMap<ImageId, Commit>,
    versions: BTreeMap<GalleryId, GalleryVersion>,
    partitions: BTreeMap<GalleryId, Partition>,
    /// The generations whose faces are all in groups.
    grouped: BTreeMap<GalleryId, u64>,
    /// Groups that people see.
    published: BTreeMap<GalleryId, Partition>,
}

impl State {
    /// Says that an image's faces come in place of those that are stored.
    fn raise(&mut self, Commit { image, faces, .. }: &Commit) {
        let before = self.images.get(&image.id).into_iter().flat_map(|commit| &commit.faces);
        let is_smaller = before.map(|face| face.id).any(|id| !faces.iter().any(|face| face.id == id));
        let version = self.versions.entry(image.locator.gallery.clone()).or_default();
        version.generation += 1;
        version.revision += u64::from(is_smaller);
    }
}

/// The store of the simulated world.
#[derive(Clone, Default)]
pub(crate) struct SimFaces {
    state: Arc<Mutex<State>>,
}

/// A store as a worker reaches it.
pub(crate) struct Reached {
    faces: SimFaces,
    host: Host,
}

fn failed(class: Class) -> FacesError {
    FacesError::Failed { class, message: String::from("simulated") }
}

impl SimFaces {
    /// For the worker of this machine.
    pub(crate) fn at(&self, host: &Host) -> Reached {
        Reached { faces: self.clone(), host: host.clone() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
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

    /// Galleries whose published groups do not hold exactly the faces that are stored.
    pub(super) fn stale(&self) -> Vec<GalleryId> {
        let state = self.lock();
        let mut stale = Vec::new();
        for gallery in state.versions.keys() {
            let faces: Vec<FaceId> = vectors(&state, gallery).into_iter().map(|face| face.id).collect();
            let groups = state.published.get(gallery).into_iter().flat_map(|partition| &partition.groups);
            // A face that is in two groups is here twice.
            let mut grouped: Vec<FaceId> = groups.flat_map(|group| group.faces.clone()).collect();
            grouped.sort_unstable();
            if faces != grouped {
                stale.push(gallery.clone());
            }
        }
        stale
    }

    /// Everything that is stored but of the images in `but`: what each is, its faces, and who is with whom.
    pub(super) fn fingerprint(&self, but: &BTreeSet<usize>) -> String {
        let state = self.lock();
        let left = |commit: &&Commit| !but.contains(&number(&commit.image.locator));
        let mut hash = blake3::Hasher::new();
        let mut told: BTreeSet<FaceId> = BTreeSet::new();
        for commit in state.images.values().filter(left) {
            let Commit { image, faces, .. } = commit;
            let reason = image.rejection.as_ref().map(|rejection| rejection.reason);
            hash.update(format!("{:?} {:?} {reason:?} {faces:?}", image.id, image.state).as_bytes());
            told.extend(faces.iter().map(|face| face.id));
        }
        for (gallery, partition) in &state.partitions {
            let members = partition.groups.iter().map(|group| group.faces.iter().filter(|face| told.contains(face)));
            let groups: BTreeSet<Vec<&FaceId>> = members.map(Iterator::collect).collect();
            // A gallery without faces may have been grouped, or not.
            for group in groups.iter().filter(|group| !group.is_empty()) {
                hash.update(format!("{gallery} {group:?}").as_bytes());
            }
        }
        hash.finalize().to_hex().to_string()
    }
}

impl Reached {
    /// Whether it answers, asked before a worker receives anything.
    pub(super) async fn hello(&self) -> Result<(), FacesError> {
        self.call().await.map(drop).inspect_err(|_| self.host.allow(81, false))
    }

    /// How a call goes: not at all, done and said so, or done and answered with an error.
    async fn call(&self) -> Result<bool, FacesError> {
        let world = &self.host.world;
        self.host.step().await;
        let bulk = world.look(|s| s.bulk_time);
        world.latency(bulk).await;
        self.host.step().await;
        let now = world.elapsed();
        let (failover, down) = world.look(|s| (s.failover, s.store_down));
        if down.is_some_and(|at| now >= at) {
            self.host.allow(81, true);
            return Err(failed(Class::DependencyDown));
        }
        if failover.is_some_and(|(at, length)| now >= at && now < at + length) || world.chance(|s| s.store_errors) {
            // The last grouping may run out of retries.
            self.host.allow(81, false);
            return Err(failed(Class::Transient));
        }
        if world.chance(|s| s.store_overload) {
            return Err(failed(Class::Throttled { retry_after: Some(Duration::from_millis(300)) }));
        }
        Ok(world.chance(|s| s.lost_replies))
    }
}

fn vectors(state: &State, gallery: &GalleryId) -> Vec<FaceVector> {
    let of = state.images.values().filter(|commit| commit.image.locator.gallery == *gallery);
    let mut faces: Vec<FaceVector> = of
        .flat_map(|Commit { image, faces, .. }| {
            let capture = Capture::new(image.taken, image.picture, &image.locator.bucket, &image.locator.key);
            faces.iter().map(move |face| FaceVector {
                id: face.id,
                image: face.image,
                embedding: face.embedding.clone(),
                quality: face.quality.overall,
                capture,
                place: None,
            })
        })
        .collect();
    faces.sort_by_key(|face| face.id);
    faces
}

/// Faces with the same vector are one person; who that is, is found out as it always is.
#[allow(clippy::needless_pass_by_value, reason = "the port hands it over")]
pub(crate) fn reconcile(snapshot: GallerySnapshot) -> Result<Reconciled, IndexError> {
    let mut clusters: BTreeMap<Vec<u32>, Vec<FaceId>> = BTreeMap::new();
    for face in &snapshot.faces {
        clusters.entry(face.embedding.iter().map(|part| part.to_bits()).collect()).or_default().push(face.id);
    }
    let clusters: Vec<Vec<FaceId>> = clusters.into_values().collect();
    let faces: BTreeMap<FaceId, &FaceVector> = snapshot.faces.iter().map(|face| (face.id, face)).collect();
    let portrait = |id| faces.get(&id).map(|face| (face.embedding.as_slice(), face.quality));
    Ok(identify(&clusters, &snapshot.previous, &snapshot.facts, |face| snapshot.facts.person_of(face), portrait))
}

#[async_trait]
impl Faces for Reached {
    async fn commit(&self, batch: Vec<Commit>) -> Result<Vec<Result<(), FacesError>>, FacesError> {
        let lost = self.call().await.inspect_err(|error| self.host.world.note(|| format!("store.commit {error}")))?;
        let mut outcomes = Vec::new();
        for commit in batch {
            // Between two writes of a bulk, too.
            self.host.step().await;
            if self.host.world.chance(|s| s.store_partial) {
                outcomes.push(Err(failed(Class::Transient)));
                continue;
            }
            if self.host.world.look(|s| s.images.get(number(&commit.image.locator)) == Some(&Kind::Forgotten)) {
                outcomes.push(Err(Rejection::new(RejectReason::Forgotten, "simulated").into()));
                continue;
            }
            let mut state = self.faces.lock();
            let stored = state.images.get(&commit.image.id);
            let kept = |stored: &Commit| commit.keeps_stored() && stored.image.state != ImageState::Rejected;
            if stored.is_some_and(|stored| kept(stored) || stored.version.is_newer_than(&commit.version)) {
                self.host.world.note(|| format!("store.keep {}", commit.image.locator.key));
                outcomes.push(Ok(()));
                continue;
            }
            state.raise(&commit);
            self.host.world.note(|| format!("store.commit {} {:?}", commit.image.locator.key, commit.image.state));
            state.images.insert(commit.image.id, commit);
            drop(state);
            outcomes.push(Ok(()));
        }
        self.host.step().await;
        if lost {
            self.host.world.note(|| String::from("store.commit done, reply lost"));
            return Err(failed(Class::Transient));
        }
        Ok(outcomes)
    }

    async fn gallery(&self, gallery: &GalleryId) -> Result<GallerySnapshot, FacesError> {
        self.call().await?;
        let state = self.faces.lock();
        Ok(GallerySnapshot {
            version: state.versions.get(gallery).copied().unwrap_or_default(),
            faces: vectors(&state, gallery),
            doubted: BTreeSet::new(),
            facts: Facts::default(),
            previous: state.partitions.get(gallery).cloned().unwrap_or_default(),
        })
    }

    async fn is_grouped(&self, gallery: &GalleryId) -> Result<bool, FacesError> {
        self.call().await?;
        let state = self.faces.lock();
        Ok(state.versions.get(gallery).map(|version| version.generation) == state.grouped.get(gallery).copied())
    }

    async fn publish(&self, gallery: &GalleryId) -> Result<(), FacesError> {
        let lost = self.call().await?;
        let mut state = self.faces.lock();
        let groups = state.partitions.get(gallery).cloned().unwrap_or_default();
        state.published.insert(gallery.clone(), groups);
        if lost { Err(failed(Class::Transient)) } else { Ok(()) }
    }

    async fn save(&self, gallery: &GalleryId, read: GalleryVersion, reconciled: &Reconciled) -> Result<(), FacesError> {
        let lost = self.call().await?;
        {
            let mut state = self.faces.lock();
            let changed = self.host.world.chance(|s| s.conflicts);
            let before = state.versions.get(gallery).copied().unwrap_or_default();
            if changed || before.revision != read.revision {
                return Err(FacesError::Conflict);
            }
            let after = GalleryVersion { generation: before.generation + 1, revision: before.revision + 1 };
            state.versions.insert(gallery.clone(), after);
            state.grouped.insert(gallery.clone(), read.grouped(before, after));
            state.partitions.insert(gallery.clone(), reconciled.partition.clone());
        }
        self.host.world.note(|| format!("store.save {gallery}"));
        self.host.step().await;
        if lost { Err(failed(Class::Transient)) } else { Ok(()) }
    }
}
