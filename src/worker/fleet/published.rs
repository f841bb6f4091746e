//! A store whose results, crops and groups lie in S3 too.
//!
//! The results and crops of a bulk are written before its images count as written ([`super::objects`]). A gallery's
//! `groups.json` carries the generation it was made from and is written on condition, so that an older worker cannot put its
//! groups over newer ones.
//!
//! What somebody forgot is looked for before anything is written, and again after: whoever forgets takes out what is there when
//! they have said so, and what comes later is taken out here.

use std::collections::BTreeSet;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use muster_actors::domain::gallery::{GalleryId, GallerySnapshot, GalleryVersion, Reconciled};
use muster_actors::domain::image::{ImageId, RejectReason, Rejection};
use muster_actors::errors::Class;
use muster_actors::grouping::Params;
use muster_actors::ports::faces::{Commit, Faces, FacesError};
use serde_json::{Value, json};

use muster_aws::s3::{Note, S3Bucket, When};
use muster_stores::mongo::{Album, Known, Marks, MongoFaces, Scope};
use muster_stores::redis::Cache;

use super::objects::{AT_ONCE, crop_key, crop_place, format};
use super::packs::Packs;
use muster_config::Layout;

/// How crops and results lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layouts {
    /// Crops, in the bucket of groups.
    pub crops: Layout,
    /// Results.
    pub results: Layout,
}

/// MongoDB with S3 beside it.
#[derive(Clone)]
pub struct Published {
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

impl Published {
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

    /// Puts a gallery's groups where people look, unless it was forgotten.
    ///
    /// # Errors
    /// A store failed, or the gallery changes all the time.
    pub async fn publish(&self, gallery: &GalleryId) -> Result<(), FacesError> {
        let key = format!("galleries/{gallery}/groups.json");
        if !self.store.is_forgotten(gallery, &Scope::Gallery).await? {
            self.put_groups(gallery, &key).await?;
        }
        // Also what was put while somebody forgot it.
        if self.store.is_forgotten(gallery, &Scope::Gallery).await? {
            self.groups.remove(&key).await?;
        }
        Ok(())
    }

    /// Puts a gallery's groups, unless newer ones are there.
    async fn put_groups(&self, gallery: &GalleryId, key: &str) -> Result<(), FacesError> {
        loop {
            let there = self.groups.generation(key).await?;
            let now = self.store.generation(gallery).await?;
            let when = match there {
                Some((_, generation)) if generation >= now => return Ok(()),
                Some((etag, _)) => When::Unchanged(etag),
                None => When::Absent,
            };
            let album = self.store.album(gallery).await?;
            let text = Bytes::from(groups(gallery, &album).to_string());
            if self.groups.put(key, text, "application/json", Some(Note::Generation(album.generation)), when).await? {
                return Ok(());
            }
        }
    }
}

/// A gallery's groups.
fn groups(gallery: &GalleryId, album: &Album) -> Value {
    let groups: Vec<Value> = album
        .groups
        .iter()
        .map(|(group, places)| {
            let face = |place: &muster_stores::mongo::Place| {
                json!({
                    "id": place.face, "bucket": place.bucket, "key": place.key, "box": place.bbox,
                    "crop": crop_place(place.crop.as_ref(), || crop_key(gallery, place.image, place.face)),
                })
            };
            json!({
                "id": group.id, "name": group.name, "cover": group.cover, "count": places.len(),
                "faces": places.iter().map(face).collect::<Vec<_>>(),
            })
        })
        .collect();
    let is_packed = album.groups.iter().flat_map(|(_, places)| places).any(|place| place.crop.is_some());
    json!({ "format": format(is_packed), "gallery": gallery, "generation": album.generation, "groups": groups, "ungrouped": album.ungrouped })
}

impl Published {
    /// Deletes the objects of the images of a bulk that were deleted; those for which that failed, by their numbers.
    async fn clear_all_removed(&self, batch: &[Commit], superseded: &BTreeSet<ImageId>) -> Vec<(usize, FacesError)> {
        let removed = batch.iter().enumerate();
        let removed = removed.filter(|(_, commit)| commit.removes() && !superseded.contains(&commit.image.id));
        let clears: Vec<_> = removed
            .map(|(of, commit)| async move { Some((of, self.clear_removed(&commit.image.locator).await.err()?)) })
            .collect();
        stream::iter(clears).buffer_unordered(AT_ONCE).filter_map(async |failed| failed).collect().await
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
impl Faces for Published {
    async fn commit(&self, mut batch: Vec<Commit>) -> Result<Vec<Result<(), FacesError>>, FacesError> {
        let images: Vec<Known> = batch.iter().map(known).collect();
        let (before, _) = self.sweep(&images).await.map_err(of_nobody)?;
        let is_covered = |marks: &Marks| images.iter().any(|image| marks.covers(&image.locator));
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
            let places = |marks: &Marks| marks.places(image.locator.id()).len();
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
        Published::publish(self, gallery).await
    }

    async fn save(&self, gallery: &GalleryId, read: GalleryVersion, reconciled: &Reconciled) -> Result<(), FacesError> {
        self.store.save(gallery, read, reconciled).await
    }
}
