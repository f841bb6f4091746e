//! Erases forgotten data from the buckets, the cache and the databases, for `muster forget` and for a worker that was processing
//! it meanwhile. Objects go first and documents last, because the documents name the objects. So an interrupted erasure can be
//! repeated.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::stream::{self, StreamExt, TryStreamExt};
use muster_actors::domain::face::{BBox, FaceId};
use muster_actors::domain::gallery::{GalleryId, GroupId};
use muster_actors::domain::image::{ImageId, Locator};
use muster_actors::ports::faces::FacesError;

use super::PublishingStore;
use super::objects::{AT_ONCE, crop_key};
use super::packs::Blanked;
use muster_aws::classify::Fault;
use muster_aws::deletion::DeletionCounts;
use muster_stores::mongo::{Known, KnownFace, PackEntry, Tombstones};

/// The data that was erased.
#[derive(Clone, Debug, Default)]
pub(crate) struct Erasure {
    /// Images that were deleted, or lost faces.
    pub images: BTreeSet<ImageId>,
    /// Faces, with box, landmarks, quality and embedding.
    pub faces: BTreeSet<FaceId>,
    /// Facts that people stated about these.
    pub decisions: u64,
    /// Face crops in S3.
    pub crops: DeletionCounts,
    /// Results in S3.
    pub results: DeletionCounts,
    /// Packs that were rewritten without them.
    pub packs_rewritten: u64,
    /// Packs that were deleted because nothing was left in them.
    pub packs_deleted: u64,
    /// Packs that a worker is about to write.
    pub packs_awaited: u64,
    /// Groups that lost faces.
    pub groups: BTreeSet<GroupId>,
    /// Whether the cache did not answer, so that its entries stay until they expire.
    pub cache_away: bool,
}

impl Erasure {
    /// Tells whether nothing was erased.
    pub(crate) fn is_nothing(&self) -> bool {
        self.images.is_empty() && self.faces.is_empty() && self.crops.objects + self.results.objects == 0
    }

    /// Adds another erasure.
    pub fn add(&mut self, other: Self) {
        self.images.extend(other.images);
        self.faces.extend(other.faces);
        self.decisions += other.decisions;
        self.crops = self.crops.and(other.crops);
        self.results = self.results.and(other.results);
        self.packs_rewritten += other.packs_rewritten;
        self.packs_deleted += other.packs_deleted;
        self.packs_awaited += other.packs_awaited;
        self.groups.extend(other.groups);
        self.cache_away |= other.cache_away;
    }

    /// With what went from packs.
    pub fn with(mut self, packs: Blanked) -> Self {
        let of = |objects| DeletionCounts { objects, versions_stay: packs.versions_stay };
        self.crops = self.crops.and(of(packs.crops));
        self.results = self.results.and(of(packs.results));
        self.packs_rewritten += packs.rewritten;
        self.packs_deleted += packs.deleted;
        self.packs_awaited += packs.awaited;
        self
    }
}

impl PublishingStore {
    /// Takes out what is known of those of some images that a tombstone covers, and the faces at places that were forgotten.
    pub(super) async fn sweep(&self, images: &[Known]) -> Result<(Tombstones, Erasure), FacesError> {
        let marks = self.store.marks(images.iter().map(|image| &image.locator)).await?;
        let forgotten: Vec<Known> = images.iter().filter(|image| marks.covers(&image.locator)).cloned().collect();
        let mut erased = Erasure::default();
        if !forgotten.is_empty() {
            erased.add(self.erase_images(&forgotten).await?);
        }
        let marked = images.iter().map(|image| image.locator.id()).filter(|image| !marks.places(*image).is_empty());
        let marked: BTreeSet<ImageId> = marked.collect();
        if !marked.is_empty() {
            let mut faces = self.store.faces_of(marked.iter().copied()).await?;
            faces.retain(|face| marks.places(face.image).iter().any(|place| place.is_place_of(&face.bbox)));
            if !faces.is_empty() {
                erased.add(self.erase_faces(images, &faces).await?);
            }
            // Of photos that were looked at by another model before, too, and of a run that nobody finished.
            erased.add(Erasure::default().with(self.erase_packed_faces(&marked, &faces, &marks).await?));
        }
        Ok((marks, erased))
    }

    async fn erase_images(&self, images: &[Known]) -> Result<Erasure, FacesError> {
        let locators: Vec<Locator> = images.iter().map(|image| image.locator.clone()).collect();
        let ids: Vec<ImageId> = locators.iter().map(Locator::id).collect();
        let faces = self.store.faces_of(ids.iter().copied()).await?;
        let clears: Vec<_> = locators.iter().map(|image| self.clear(image)).collect();
        let cleared: Vec<(DeletionCounts, DeletionCounts)> =
            stream::iter(clears).buffer_unordered(AT_ONCE).try_collect().await?;
        let all: BTreeSet<ImageId> = ids.iter().copied().collect();
        let packs = self.packs.erase(self.store.packs_of(&ids).await?, &|entry| all.contains(&entry.image)).await?;
        // Under the contents that were written, and under those that are on their way.
        let there = self.store.known_of(&ids).await?;
        let mut cache_away = !self.uncache(&[images, &there].concat(), &[]).await;
        let decisions = self.store.erase_images(&locators, &faces).await?;
        if !faces.is_empty() {
            cache_away |= !self.uncache(&[], &galleries(&locators)).await;
        }
        Ok(Erasure {
            images: there.iter().map(|image| image.locator.id()).collect(),
            faces: faces.iter().map(|face| face.id).collect(),
            decisions,
            crops: cleared.iter().fold(DeletionCounts::default(), |sum, (crops, _)| sum.and(*crops)),
            results: cleared.iter().fold(DeletionCounts::default(), |sum, (_, result)| sum.and(*result)),
            groups: faces.iter().filter_map(|face| face.group).collect(),
            cache_away,
            ..Erasure::default()
        }
        .with(packs))
    }

    /// Takes faces, and all faces at places that were forgotten, out of packs, and the results that tell of them.
    async fn erase_packed_faces(
        &self,
        images: &BTreeSet<ImageId>,
        faces: &[KnownFace],
        marks: &Tombstones,
    ) -> Result<Blanked, FacesError> {
        let faces: BTreeSet<FaceId> = faces.iter().map(|face| face.id).collect();
        let gone = |entry: &PackEntry| {
            let is_gone = |(face, bbox): &(FaceId, BBox)| {
                faces.contains(face) || marks.places(entry.image).iter().any(|place| place.is_place_of(bbox))
            };
            images.contains(&entry.image) && entry.faces.iter().any(is_gone)
        };
        self.packs.erase(self.store.packs_of(&Vec::from_iter(images.iter().copied())).await?, &gone).await
    }

    /// Deletes faces of some of these images. The images' results tell of them too and go with them.
    async fn erase_faces(&self, images: &[Known], faces: &[KnownFace]) -> Result<Erasure, FacesError> {
        let by_id: BTreeMap<ImageId, &Known> = images.iter().map(|image| (image.locator.id(), image)).collect();
        let touched: BTreeSet<ImageId> = faces.iter().map(|face| face.image).collect();
        let locators: Vec<Locator> =
            touched.iter().filter_map(|image| Some(by_id.get(image)?.locator.clone())).collect();
        let crop = |face: &KnownFace| {
            let gallery = &by_id.get(&face.image)?.locator.gallery;
            Some(crop_key(gallery, face.image, face.id))
        };
        let crops: Vec<String> = faces.iter().filter_map(crop).collect();
        let removed: Vec<_> = crops.iter().map(|key| self.groups.remove(key)).collect();
        let crops: Vec<DeletionCounts> = stream::iter(removed).buffer_unordered(AT_ONCE).try_collect().await?;
        let removed: Vec<_> = locators.iter().map(|image| self.remove_result(image)).collect();
        let results: Vec<DeletionCounts> = stream::iter(removed).buffer_unordered(AT_ONCE).try_collect().await?;
        let mut known = self.store.known_of(&Vec::from_iter(touched.iter().copied())).await?;
        known.extend(touched.iter().filter_map(|image| by_id.get(image).copied().cloned()));
        let mut cache_away = !self.uncache(&known, &[]).await;
        let decisions = self.store.erase_faces(&locators, faces).await?;
        cache_away |= !self.uncache(&[], &galleries(&locators)).await;
        Ok(Erasure {
            images: touched,
            faces: faces.iter().map(|face| face.id).collect(),
            decisions,
            crops: crops.into_iter().fold(DeletionCounts::default(), DeletionCounts::and),
            results: results.into_iter().fold(DeletionCounts::default(), DeletionCounts::and),
            groups: faces.iter().filter_map(|face| face.group).collect(),
            cache_away,
            ..Erasure::default()
        })
    }

    /// Deletes the crops and the result of an image, also those of a run that nobody finished.
    async fn clear(&self, image: &Locator) -> Result<(DeletionCounts, DeletionCounts), Fault> {
        let crops = self.groups.clear(&format!("galleries/{}/faces/{}/", image.gallery, image.id())).await?;
        Ok((crops, self.remove_result(image).await?))
    }

    /// Deletes the objects of an image that was deleted, and what the cache holds of it. What people said of its faces stays: it may
    /// come back.
    pub(super) async fn clear_removed(&self, image: &Locator) -> Result<(), FacesError> {
        self.clear(image).await?;
        let id = image.id();
        self.packs.erase(self.store.packs_of(&[id]).await?, &|entry| entry.image == id).await?;
        let mut known = self.store.known_of(&[id]).await?;
        known.push(Known { locator: image.clone(), content: None });
        self.uncache(&known, std::slice::from_ref(&image.gallery)).await;
        Ok(())
    }

    async fn remove_result(&self, image: &Locator) -> Result<DeletionCounts, Fault> {
        let mut deleted = DeletionCounts::default();
        for (bucket, prefix) in self.results.iter().chain(&self.former_results) {
            let key = format!("{prefix}{}.json", image.key);
            // The same key of another gallery or bucket has its result there too.
            if bucket.image(&key).await?.is_some_and(|of| of.is_none_or(|of| of == image.id())) {
                deleted = deleted.and(bucket.remove(&key).await?);
            }
        }
        Ok(deleted)
    }

    /// Deletes images, their analyses, and galleries' embeddings from the cache. Whether it answered, where there is one.
    pub(super) async fn uncache(&self, images: &[Known], galleries: &[GalleryId]) -> bool {
        let Some(cache) = &self.cache else { return true };
        let images: Vec<_> = images.iter().map(|image| (&image.locator, image.content)).collect();
        cache.forget(&images, galleries).await
    }
}

fn galleries(of: &[Locator]) -> Vec<GalleryId> {
    let all: BTreeSet<&GalleryId> = of.iter().map(|image| &image.gallery).collect();
    all.into_iter().cloned().collect()
}
