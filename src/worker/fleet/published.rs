//! A store whose results, crops and groups lie in S3 too.
//!
//! An image's result and crops are written before the image counts as written; their keys follow from the image, so that a
//! repeated write changes nothing. A gallery's `groups.json` carries the generation it was made from and is written on
//! condition, so that an older worker cannot put its groups over newer ones.
//!
//! What somebody forgot is looked for before anything is written, and again after: whoever forgets takes out what is there when
//! they have said so, and what comes later is taken out here.

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use muster_actors::domain::face::Face;
use muster_actors::domain::gallery::{GalleryId, GallerySnapshot, Reconciled};
use muster_actors::domain::image::{ImageId, ImageRecord, RejectReason, Rejection};
use muster_actors::errors::Class;
use muster_actors::ports::faces::{Commit, Faces, FacesError};
use serde_json::{Value, json};

use muster_aws::classify::Fault;
use muster_aws::s3::{Note, S3Bucket, When};
use muster_stores::mongo::{Album, Known, Marks, MongoFaces, Scope};
use muster_stores::redis::Cache;

/// Objects of one bulk that are written at once.
pub(super) const AT_ONCE: usize = 32;
/// Version of what is written, for those who read it.
const FORMAT: u32 = 1;

/// MongoDB with S3 beside it.
#[derive(Clone)]
pub struct Published {
    /// The database.
    pub store: MongoFaces,
    /// Where results go, and under which prefix; nowhere when `None`.
    pub(super) results: Option<(S3Bucket, String)>,
    /// Where crops and groups go.
    pub(super) groups: S3Bucket,
    /// What is forgotten goes from here too.
    pub(super) cache: Option<Cache>,
}

/// The key of a face's crop.
pub(crate) fn crop_key(gallery: &GalleryId, image: ImageId, face: impl std::fmt::Display) -> String {
    format!("galleries/{gallery}/faces/{image}/{face}.jpg")
}

impl Published {
    /// Over MongoDB.
    pub fn new(store: MongoFaces, results: Option<(S3Bucket, String)>, groups: S3Bucket, cache: Option<Cache>) -> Self {
        Self { store, results, groups, cache }
    }

    /// Writes the objects of one image.
    async fn put(&self, commit: &Commit) -> Result<(), Fault> {
        let Commit { image, faces, .. } = commit;
        for face in faces.iter().filter(|face| !face.thumbnail.is_empty()) {
            let key = crop_key(&image.locator.gallery, image.id, face.id);
            self.groups.put(&key, face.thumbnail.clone().into(), "image/jpeg", None, When::Always).await?;
        }
        if let Some((bucket, prefix)) = &self.results {
            let key = format!("{prefix}{}.json", image.locator.key);
            let text = result(image, faces).to_string();
            let when = if commit.keeps_stored() { When::Absent } else { When::Always };
            bucket.put(&key, text.into(), "application/json", Some(Note::Image(image.id)), when).await?;
        }
        Ok(())
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

/// An image's result. No embedding leaves the database.
fn result(image: &ImageRecord, faces: &[Face]) -> Value {
    let face = |face: &Face| {
        json!({
            "id": face.id, "box": face.bbox, "landmarks": face.landmarks, "quality": face.quality,
            "crop": crop_key(&image.locator.gallery, image.id, face.id),
        })
    };
    json!({ "format": FORMAT, "image": image, "faces": faces.iter().map(face).collect::<Vec<_>>() })
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
                    "crop": crop_key(gallery, place.image, place.face),
                })
            };
            json!({
                "id": group.id, "name": group.name, "cover": group.cover, "count": places.len(),
                "faces": places.iter().map(face).collect::<Vec<_>>(),
            })
        })
        .collect();
    json!({ "format": FORMAT, "gallery": gallery, "generation": album.generation, "groups": groups, "ungrouped": album.ungrouped })
}

impl Published {
    /// Writes results, whoever may have forgotten them.
    async fn write(&self, batch: Vec<Commit>) -> Result<Vec<Result<(), FacesError>>, FacesError> {
        // Theirs are the objects that people look at.
        let superseded = self.store.superseded(&batch).await?;
        let puts: Vec<_> = batch
            .iter()
            .map(|commit| {
                let stays = superseded.contains(&commit.image.id);
                async move {
                    match stays {
                        true => Ok(()),
                        false if commit.removes() => self.clear_removed(&commit.image.locator).await,
                        false => Ok(self.put(commit).await?),
                    }
                }
            })
            .collect();
        let put: Vec<Result<(), FacesError>> = stream::iter(puts).buffered(AT_ONCE).collect().await;
        let ready: Vec<Commit> =
            batch.into_iter().zip(&put).filter(|(_, put)| put.is_ok()).map(|(commit, _)| commit).collect();
        let mut written = if ready.is_empty() { Vec::new() } else { self.store.commit(ready).await? }.into_iter();
        let outcome = |put: Result<(), FacesError>| match put {
            Ok(()) => written.next().unwrap_or_else(|| Err(missing())),
            Err(error) => Err(error),
        };
        Ok(put.into_iter().map(outcome).collect())
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
        let mut bared = Vec::new();
        for commit in &mut batch {
            if commit.forget(before.places(commit.image.id)) {
                bared.push(known(commit));
            }
        }
        if !bared.is_empty() {
            // Their analyses were kept a moment ago, with all faces.
            self.uncache(&bared, &[]).await;
        }
        batch.retain(|commit| !before.covers(&commit.image.locator));
        let rest: Vec<Known> = batch.iter().map(known).collect();
        let written = if batch.is_empty() { Vec::new() } else { self.write(batch).await? };
        let (after, _) = self.sweep(&rest).await.map_err(of_nobody)?;
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

    async fn save(&self, gallery: &GalleryId, generation: u64, reconciled: &Reconciled) -> Result<(), FacesError> {
        self.store.save(gallery, generation, reconciled).await?;
        self.publish(gallery).await
    }
}
