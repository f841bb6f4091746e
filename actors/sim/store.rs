//! A fake of the store: partial bulks, failover, lost replies, overload, and groups that conflict.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::{Mutex, MutexGuard};
use tokio::time::sleep;

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
use crate::sim::planted_bugs::PlantedBug;
use crate::sim::refusal::{RefusalAnswer, RefusedCall};
use crate::sim::scenario::ImageKind;
use crate::sim::stored::stored;
use crate::sim::world::{World, locator, number};

/// What it holds.
#[derive(Default)]
pub(super) struct State {
    pub(super) images: BTreeMap<ImageId, Commit>,
    pub(super) versions: BTreeMap<GalleryId, GalleryVersion>,
    pub(super) partitions: BTreeMap<GalleryId, Partition>,
    /// The generations whose faces are all in groups.
    pub(super) grouped: BTreeMap<GalleryId, u64>,
    /// Groups that people see.
    pub(super) published: BTreeMap<GalleryId, Partition>,
    /// Faces whose crops are in S3.
    pub(super) crops: BTreeSet<FaceId>,
    /// Images of which a result was passed over, because that of a newer version was there.
    passed_over: BTreeSet<ImageId>,
}

impl State {
    /// Everything that is known of a gallery.
    pub(super) fn snapshot(&self, gallery: &GalleryId) -> GallerySnapshot {
        GallerySnapshot {
            version: self.version(gallery),
            faces: vectors(self, gallery),
            doubted: BTreeSet::new(),
            facts: Facts::default(),
            previous: self.partitions.get(gallery).cloned().unwrap_or_default(),
        }
    }

    fn version(&self, gallery: &GalleryId) -> GalleryVersion {
        self.versions.get(gallery).copied().unwrap_or_default()
    }

    /// Somebody writes to a gallery, and does not only add faces to it.
    fn change(&mut self, gallery: &GalleryId) {
        let version = self.versions.entry(gallery.clone()).or_default();
        version.generation += 1;
        version.revision += 1;
    }

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
#[derive(Clone)]
pub(crate) struct SimFaces {
    state: Arc<Mutex<State>>,
}

/// A store as a worker reaches it.
pub(crate) struct FaultyStore {
    faces: SimFaces,
    host: Host,
}

fn failed(class: Class) -> FacesError {
    FacesError::Failed { class, message: String::from("simulated") }
}

impl SimFaces {
    /// With what an earlier run has stored.
    pub(crate) fn new(world: &World) -> Self {
        Self { state: Arc::new(Mutex::new(world.look(stored))) }
    }

    /// For the worker of this machine.
    pub(crate) fn at(&self, host: &Host) -> FaultyStore {
        FaultyStore { faces: self.clone(), host: host.clone() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// How image `number` is stored.
    pub(super) fn state_of(&self, number: usize) -> Option<ImageState> {
        self.stored(number).map(|commit| commit.image.state)
    }

    /// Whether a result of image `number` counts as written although that of a newer version is stored.
    pub(super) fn passed_over(&self, number: usize) -> bool {
        self.lock().passed_over.contains(&locator(number).id())
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

    /// Faces that are stored without their crops.
    pub(super) fn without_crop(&self) -> usize {
        let state = self.lock();
        let faces = state.images.values().flat_map(|commit| &commit.faces);
        faces.filter(|face| !state.crops.contains(&face.id)).count()
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

impl FaultyStore {
    /// Whether it answers, asked before a worker receives anything.
    pub(super) async fn hello(&self) -> Result<(), FacesError> {
        self.call().await.map(drop).inspect_err(|_| self.host.allow(81, false))
    }

    /// Puts the crops of an image.
    fn put(&self, commit: &Commit) -> Result<(), FacesError> {
        for face in &commit.faces {
            match self.host.refused(RefusedCall::Put) {
                // A bug: it is taken for what another worker put there.
                Some(RefusalAnswer::Conflict)
                    if self.host.world.look(|s| s.planted_bug) == Some(PlantedBug::ConflictCountsAsPut) => {}
                Some(answer) => return Err(failed(answer.class())),
                None => _ = self.faces.lock().crops.insert(face.id),
            }
        }
        Ok(())
    }

    /// Checks that a result does not take faces away that are in the photo.
    fn keeps_faces(&self, before: &Commit, commit: &Commit) {
        let number = number(&commit.image.locator);
        let innocent = self.host.world.look(|s| matches!(s.images.get(number), Some(ImageKind::Faces(1..))));
        let reason = commit.image.rejection.as_ref().map(|rejection| rejection.reason);
        if innocent && !before.faces.is_empty() && commit.faces.is_empty() {
            self.host.world.violation(format!("image {number} lost its faces: {:?} {reason:?}", commit.image.state));
        }
    }

    /// The time between the begin of a transaction and its end, in which others write. One that takes too long is aborted.
    async fn transaction(&self, gallery: &GalleryId) -> Result<(), FacesError> {
        let world = &self.host.world;
        let (time, limit) = world.look(|s| (s.save_time, s.transaction_limit));
        sleep(limit.map_or(time, |limit| limit.min(time))).await;
        self.host.step().await;
        if limit.is_some_and(|limit| time > limit) {
            world.note(|| format!("store.save {gallery} is aborted"));
            // The last grouping may run out of rounds.
            self.host.allow(81, false);
            return Err(FacesError::Conflict);
        }
        if world.chance(|s| s.conflicts) {
            world.note(|| format!("somebody corrects {gallery}"));
            self.host.allow(81, false);
            self.faces.lock().change(gallery);
        }
        Ok(())
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
impl Faces for FaultyStore {
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
            if self.host.world.look(|s| s.images.get(number(&commit.image.locator)) == Some(&ImageKind::Forgotten)) {
                outcomes.push(Err(Rejection::new(RejectReason::Forgotten, "simulated").into()));
                continue;
            }
            // A face is stored after its crop.
            if let Err(error) = self.put(&commit) {
                outcomes.push(Err(error));
                continue;
            }
            let mut state = self.faces.lock();
            if let Some(stored) = state.images.get(&commit.image.id) {
                let kept = commit.keeps_stored() && stored.image.state != ImageState::Rejected;
                let newer = stored.version.is_newer_than(&commit.version);
                if kept || newer {
                    state.passed_over.extend(newer.then_some(commit.image.id));
                    self.host.world.note(|| format!("store.keep {}", commit.image.locator.key));
                    outcomes.push(Ok(()));
                    continue;
                }
                self.keeps_faces(stored, &commit);
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
        Ok(self.faces.lock().snapshot(gallery))
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
        self.transaction(gallery).await?;
        {
            let mut state = self.faces.lock();
            let before = state.version(gallery);
            if before.revision != read.revision {
                return Err(FacesError::Conflict);
            }
            state.change(gallery);
            let grouped = read.grouped(before, state.version(gallery));
            state.grouped.insert(gallery.clone(), grouped);
            state.partitions.insert(gallery.clone(), reconciled.partition.clone());
        }
        self.host.world.note(|| format!("store.save {gallery}"));
        self.host.step().await;
        if lost { Err(failed(Class::Transient)) } else { Ok(()) }
    }
}
