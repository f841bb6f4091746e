//! A store whose results, crops and groups lie in S3 too.
//!
//! The results and crops of a bulk are written before its images count as written ([`super::objects`]); a gallery's groups,
//! when they are saved ([`super::publication`]).
//!
//! What somebody forgot is looked for before anything is written, and again after: whoever forgets takes out what is there when
//! they have said so, and what comes later is taken out here.

use std::collections::BTreeSet;

use async_trait::async_trait;
use futures_util::stream::{self, StreamExt};
use muster_actors::domain::gallery::{GalleryId, GallerySnapshot, GalleryVersion, Reconciled};
use muster_actors::domain::image::{ImageId, RejectReason, Rejection};
use muster_actors::errors::Class;
use muster_actors::grouping::Params;
use muster_actors::ports::faces::{Commit, Faces, FacesError};
use muster_aws::s3::S3Bucket;
use muster_stores::mongo::{GalleryCopies, Known, MongoFaces, Tombstones};
use muster_stores::redis::Cache;

use super::objects::AT_ONCE;
use super::packs::Packs;
use muster_config::Layout;

/// How crops, results and groups lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layouts {
    /// Crops, in the bucket of groups.
    pub crops: Layout,
    /// Results.
    pub results: Layout,
    /// All groups of a gallery are in one object too, as releases before wrote them.
    pub groups_json: bool,
}

/// MongoDB with S3 beside it.
#[derive(Clone)]
pub struct PublishingStore {
    /// The database.
    pub store: MongoFaces,
    /// Where single results go, and under which prefix; no results are written when `None`.
    pub(super) results: Option<(S3Bucket, String)>,
    /// Where releases before wrote results, if elsewhere: they are deleted there too.
    pub(super) former_results: Option<(S3Bucket, String)>,
    /// Where crops, groups and packs go.
    pub(super) groups: S3Bucket,
    pub(super) layouts: Layouts,
    pub(super) packs: Packs,
    /// What is forgotten goes from here too.
    pub(super) cache: Option<Cache>,
}

impl PublishingStore {
    /// Over MongoDB.
    pub fn new(
        store: MongoFaces,
        results: Option<(S3Bucket, String)>,
        former_results: Option<(S3Bucket, String)>,
        groups: S3Bucket,
        layouts: Layouts,
        cache: Option<Cache>,
    ) -> Self {
        let packs = Packs::new(store.clone(), groups.clone());
        Self { store, results, former_results, groups, layouts, packs, cache }
    }

    /// Galleries are grouped with these figures.
    pub(super) fn grouping_with(self, params: &Params) -> Self {
        Self { store: self.store.with_grouping(params), ..self }
    }

    /// Galleries are read with copies.
    pub(super) fn with_copies(self, copies: GalleryCopies) -> Self {
        Self { store: self.store.with_copies(copies), ..self }
    }
}

impl PublishingStore {
    /// Deletes the objects of the images of a bulk that were deleted; those for which that failed, by their numbers.
    async fn clear_all_removed(&self, batch: &[Commit], superseded: &BTreeSet<ImageId>) -> Vec<(usize, FacesError)> {
        let removed = batch.iter().enumerate();
        let removed = removed.filter(|(_, commit)| commit.removes() && !superseded.contains(&commit.image.id));
        let clears: Vec<_> = removed
            .map(|(of, commit)| async move { Some((of, self.clear_removed(&commit.image.locator).await.err()?)) })
            .collect();
        let failed: Vec<Option<(usize, FacesError)>> = stream::iter(clears).buffer_unordered(AT_ONCE).collect().await;
        failed.into_iter().flatten().collect()
    }

    /// Writes results, whoever may have forgotten them.
    async fn write(&self, batch: Vec<Commit>) -> Result<Vec<Result<(), FacesError>>, FacesError> {
        // Theirs are the objects that people look at.
        let superseded = self.store.superseded(&batch).await?;
        let removed = self.clear_all_removed(&batch, &superseded).await;
        let has_objects = |commit: &Commit| !superseded.contains(&commit.image.id) && !commit.removes();
        let mut objects = self.put_objects(&batch, has_objects).await;
        for (of, error) in removed {
            objects.failed(of, error);
        }
        let is_put: Vec<bool> = objects.outcomes.iter().map(Result::is_ok).collect();
        let ready: Vec<Commit> =
            batch.into_iter().zip(&is_put).filter(|(_, is_put)| **is_put).map(|(commit, _)| commit).collect();
        let mut stored = match ready.is_empty() {
            true => Vec::new(),
            false => self.store.commit_packed(&ready, &objects.packed).await?,
        }
        .into_iter();
        let mut outcomes = std::mem::take(&mut objects.outcomes);
        for outcome in outcomes.iter_mut().filter(|outcome| outcome.is_ok()) {
            *outcome = stored.next().unwrap_or_else(|| Err(missing()));
        }
        self.release_objects(&objects, |of| outcomes[of].is_ok());
        Ok(outcomes)
    }
}

fn missing() -> FacesError {
    let message = "the store answered for fewer results than it was given".to_owned();
    FacesError::Failed { class: Class::Bug, message }
}

/// A look for tombstones that failed says nothing of any image.
fn of_nobody(error: FacesError) -> FacesError {
    match error {
        FacesError::Failed { class: Class::Poison, message } => FacesError::Failed { class: Class::Transient, message },
        error => error,
    }
}

fn again() -> FacesError {
    FacesError::Failed { class: Class::Transient, message: "a face was forgotten while it was written".to_owned() }
}

/// An image of a batch.
fn known(Commit { image, content, .. }: &Commit) -> Known {
    Known { locator: image.locator.clone(), content: *content }
}

/// Why a forgotten image's message ends.
fn forgotten() -> FacesError {
    Rejection::new(RejectReason::Forgotten, "somebody forgot it: `muster forget --lift` takes that back").into()
}

#[async_trait]
impl Faces for PublishingStore {
    async fn commit(&self, mut batch: Vec<Commit>) -> Result<Vec<Result<(), FacesError>>, FacesError> {
        let images: Vec<Known> = batch.iter().map(known).collect();
        let (before, _) = self.sweep(&images).await.map_err(of_nobody)?;
        let is_covered = |marks: &Tombstones| images.iter().any(|image| marks.covers(&image.locator));
        let mut bared = Vec::new();
        for commit in &mut batch {
            if commit.forget(before.places(commit.image.id)) {
                bared.push(known(commit));
            }
        }
        if !bared.is_empty() || is_covered(&before) {
            self.packs.release_own();
        }
        if !bared.is_empty() {
            // Their analyses were kept a moment ago, with all faces.
            self.uncache(&bared, &[]).await;
        }
        batch.retain(|commit| !before.covers(&commit.image.locator));
        let rest: Vec<Known> = batch.iter().map(known).collect();
        let written = if batch.is_empty() { Vec::new() } else { self.write(batch).await? };
        let (after, _) = self.sweep(&rest).await.map_err(of_nobody)?;
        if is_covered(&after) {
            self.packs.release_own();
        }
        let mut written = written.into_iter();
        let outcome = |image: &Known| {
            if before.covers(&image.locator) {
                return Err(forgotten());
            }
            let written = written.next().unwrap_or_else(|| Err(missing()));
            let places = |marks: &Tombstones| marks.places(image.locator.id()).len();
            match written {
                _ if after.covers(&image.locator) => Err(forgotten()),
                // The result that tells of the face is gone with it: written again, it is without.
                Ok(()) if places(&after) > places(&before) => Err(again()),
                written => written,
            }
        };
        Ok(images.iter().map(outcome).collect())
    }

    async fn gallery(&self, gallery: &GalleryId) -> Result<GallerySnapshot, FacesError> {
        self.store.gallery(gallery).await
    }

    async fn is_grouped(&self, gallery: &GalleryId) -> Result<bool, FacesError> {
        self.store.is_grouped(gallery).await
    }

    async fn publish(&self, gallery: &GalleryId) -> Result<(), FacesError> {
        PublishingStore::publish(self, gallery).await
    }

    async fn save(&self, gallery: &GalleryId, read: GalleryVersion, reconciled: &Reconciled) -> Result<(), FacesError> {
        self.store.save(gallery, read, reconciled).await
    }
}
