//! A store with a planted bug: it confirms writes that it has not made, or rejects results for faults of its own.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::task::spawn_local;

use crate::domain::gallery::{GalleryId, GallerySnapshot, GalleryVersion, Reconciled};
use crate::domain::image::{RejectReason, Rejection};
use crate::domain::version::ObjectVersion;
use crate::errors::Class;
use crate::ports::faces::{Commit, Faces, FacesError};
use crate::sim::planted_bugs::PlantedBug;

/// A store with a bug.
pub(super) struct PlantedFaces<R> {
    pub(super) faces: Arc<dyn Faces>,
    pub(super) planted_bug: PlantedBug,
    /// Whether a wake-up was refused since it was asked last.
    pub(super) refused: R,
}

fn condemned(error: &FacesError) -> FacesError {
    Rejection::new(RejectReason::Isolated, error.to_string()).into()
}

fn without_version(commit: Commit) -> Commit {
    Commit { version: ObjectVersion::default(), ..commit }
}

impl<R> PlantedFaces<R> {
    /// Writes the images of which no faces are stored.
    async fn commit_unknown(&self, batch: Vec<Commit>) -> Result<Vec<Result<(), FacesError>>, FacesError> {
        let mut outcomes = Vec::new();
        for commit in batch {
            let stored = self.faces.gallery(&commit.image.locator.gallery).await?.faces;
            if stored.iter().any(|face| face.image == commit.image.id) {
                outcomes.push(Ok(()));
            } else {
                outcomes.extend(self.faces.commit(vec![commit]).await?);
            }
        }
        Ok(outcomes)
    }
}

#[async_trait]
impl<R: Fn() -> bool + Send + Sync> Faces for PlantedFaces<R> {
    async fn commit(&self, batch: Vec<Commit>) -> Result<Vec<Result<(), FacesError>>, FacesError> {
        let count = batch.len();
        if self.planted_bug == PlantedBug::StoredIsEnough {
            return self.commit_unknown(batch).await;
        }
        if self.planted_bug == PlantedBug::AckBeforeWrite {
            let faces = Arc::clone(&self.faces);
            // It ends with the worker's machine, whose tasks are one local set.
            spawn_local(async move { faces.commit(batch).await });
            return Ok(vec![Ok(()); count]);
        }
        let batch = match self.planted_bug {
            PlantedBug::VersionForgotten => batch.into_iter().map(without_version).collect(),
            _ => batch,
        };
        let outcomes = match self.faces.commit(batch).await {
            Ok(outcomes) => outcomes,
            Err(error) if self.planted_bug == PlantedBug::FailedCommandCondemns => {
                return Ok(vec![Err(condemned(&error)); count]);
            }
            Err(error) => return Err(error),
        };
        let refused = (self.refused)();
        let spoil = |outcome: Result<(), FacesError>| match (self.planted_bug, outcome) {
            (PlantedBug::PartialIgnored, _) => Ok(()),
            (PlantedBug::RefusedWakeUpCondemns, Err(error)) if refused => Err(condemned(&error)),
            (
                PlantedBug::RefusedWriteCondemns,
                Err(error @ FacesError::Failed { class: Class::Misconfigured(_), .. }),
            ) => Err(condemned(&error)),
            (_, outcome) => outcome,
        };
        Ok(outcomes.into_iter().map(spoil).collect())
    }

    async fn gallery(&self, gallery: &GalleryId) -> Result<GallerySnapshot, FacesError> {
        self.faces.gallery(gallery).await
    }

    async fn is_grouped(&self, gallery: &GalleryId) -> Result<bool, FacesError> {
        self.faces.is_grouped(gallery).await
    }

    async fn publish(&self, gallery: &GalleryId) -> Result<(), FacesError> {
        self.faces.publish(gallery).await
    }

    async fn save(&self, gallery: &GalleryId, read: GalleryVersion, reconciled: &Reconciled) -> Result<(), FacesError> {
        let read = match self.planted_bug {
            PlantedBug::SavedOverNewer => self.faces.gallery(gallery).await?.version,
            _ => read,
        };
        match self.faces.save(gallery, read, reconciled).await {
            Err(FacesError::Conflict) if self.planted_bug == PlantedBug::ConflictIgnored => Ok(()),
            saved => saved,
        }
    }
}
