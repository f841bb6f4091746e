//! The store of results, from which the Grouper reads a gallery.

use async_trait::async_trait;

use crate::domain::face::{BBox, Face};
use crate::domain::gallery::{GalleryId, GallerySnapshot, GalleryVersion, Reconciled};
use crate::domain::image::{ImageRecord, ImageState, RejectReason, Rejection};
use crate::domain::timings::Timings;
use crate::domain::version::ObjectVersion;
use crate::errors::Class;
use crate::errors::class::Classified;
use crate::ports::analyses::Content;

/// One image's result, written as a whole: its faces replace what was there before, unless it
/// [keeps that](Commit::keeps_stored).
#[derive(Clone, Debug, PartialEq)]
pub struct Commit {
    /// Record of the image.
    pub image: ImageRecord,
    /// All its faces.
    pub faces: Vec<Face>,
    /// BLAKE3 digest of the image's bytes, where they were read.
    pub content: Option<Content>,
    /// Version of the image that was analysed. A stored result of a newer version stays, and this one counts as
    /// written.
    pub version: ObjectVersion,
    /// Time that each stage took.
    pub timings: Timings,
}

impl Commit {
    /// Returns whether this is a rejection that says nothing about the picture. Such a result does not replace the
    /// record and faces of an earlier result; it is stored only where there is no record, or that of another rejection.
    pub fn keeps_stored(&self) -> bool {
        let rejection = self.image.rejection.as_ref();
        rejection.is_some_and(|rejection| rejection.reason.says_nothing_of_the_picture())
    }

    /// Returns whether the image was deleted, so that the objects made from it must be deleted too.
    pub fn removes(&self) -> bool {
        self.image.rejection.as_ref().is_some_and(|rejection| rejection.reason == RejectReason::Removed)
    }

    /// Removes the faces at places that were forgotten, and returns whether there were any.
    pub fn forget(&mut self, places: &[BBox]) -> bool {
        let before = self.faces.len();
        self.faces.retain(|face| !places.iter().any(|place| place.is_place_of(&face.bbox)));
        self.image.face_count = u32::try_from(self.faces.len()).unwrap_or(u32::MAX);
        if self.faces.is_empty() && self.image.state == ImageState::Indexed {
            self.image.state = ImageState::NoFaces;
        }
        self.faces.len() < before
    }
}

/// Errors of reads and writes.
#[derive(Debug, Clone, thiserror::Error)]
pub enum FacesError {
    /// The gallery changed since the snapshot by more than new faces; it must be read and reconciled again.
    #[error("the gallery changed meanwhile")]
    Conflict,
    /// The result may never be stored; the image's message ends with this reason.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// Something else failed.
    #[error("store: {message}")]
    Failed {
        /// Class of the error.
        class: Class,
        /// Message for a person.
        message: String,
    },
}

/// Converts the panic of a thread that read or wrote.
impl From<tokio::task::JoinError> for FacesError {
    fn from(error: tokio::task::JoinError) -> Self {
        Self::Failed { class: Class::Bug, message: error.to_string() }
    }
}

impl Classified for FacesError {
    fn class(&self) -> Class {
        match self {
            Self::Conflict => Class::Transient,
            Self::Rejected(_) => Class::Poison,
            Self::Failed { class, .. } => *class,
        }
    }
}

/// A durable store of images, faces and groups. Writes are idempotent by key.
#[async_trait]
pub trait Faces: Send + Sync {
    /// Writes results durably, and returns one outcome for each commit, in order. `Ok` means that the result survives a
    /// crash.
    ///
    /// # Errors
    /// [`FacesError::Failed`] when the call failed as a whole; any of the results may have been written. The outcome of
    /// a single commit may also be [`FacesError::Rejected`].
    async fn commit(&self, batch: Vec<Commit>) -> Result<Vec<Result<(), FacesError>>, FacesError>;
    /// Reads everything that the Grouper needs of a gallery.
    ///
    /// # Errors
    /// [`FacesError::Failed`] when the store cannot be read.
    async fn gallery(&self, gallery: &GalleryId) -> Result<GallerySnapshot, FacesError>;
    /// Returns whether a gallery's groups were computed from what it holds now, so that grouping it again changes
    /// nothing. It reads no faces.
    ///
    /// # Errors
    /// [`FacesError::Failed`] when the store cannot be read.
    async fn is_grouped(&self, _gallery: &GalleryId) -> Result<bool, FacesError> {
        Ok(false)
    }
    /// Publishes a gallery's groups to readers that do not read the store. Groups that are published already are left
    /// alone.
    ///
    /// # Errors
    /// [`FacesError::Failed`] when the store or the target of the publication fails.
    async fn publish(&self, _gallery: &GalleryId) -> Result<(), FacesError> {
        Ok(())
    }
    /// Saves the groups that were computed from the snapshot `read`. Faces that were added since then stay in no group.
    ///
    /// # Errors
    /// [`FacesError::Conflict`] when more than new faces changed in the gallery since the snapshot;
    /// [`FacesError::Failed`] when the store fails.
    async fn save(&self, gallery: &GalleryId, read: GalleryVersion, reconciled: &Reconciled) -> Result<(), FacesError>;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::face::{FaceId, Quality};
    use crate::domain::image::Locator;

    #[test]
    fn faces_at_forgotten_places_are_taken_out_and_the_image_says_how_many_are_left() {
        let locator = Locator { gallery: GalleryId("g".into()), bucket: "b".into(), key: "k".into() };
        let place = |x: f32| BBox { x, y: 0.0, width: 10.0, height: 10.0 };
        let face = |x: f32| Face {
            id: FaceId::new(locator.id(), "m", &place(x)),
            image: locator.id(),
            bbox: place(x),
            landmarks: [[0.0; 2]; 5],
            quality: Quality::default(),
            embedding: vec![1.0],
            thumbnail: Vec::new(),
        };
        let image = ImageRecord {
            id: locator.id(),
            locator: locator.clone(),
            etag: String::new(),
            bytes: 1,
            width: 100,
            height: 100,
            orientation: 1,
            taken: None,
            picture: None,
            state: ImageState::Indexed,
            rejection: None,
            quality: None,
            face_count: 2,
            model: "m".into(),
        };
        let commit = Commit {
            image,
            faces: vec![face(0.0), face(50.0)],
            content: None,
            version: ObjectVersion::default(),
            timings: Timings::default(),
        };
        for (places, left, state) in [
            (vec![], 2, ImageState::Indexed),
            // A model that finds the face a little beside it, and one that finds another face there.
            (vec![place(2.0)], 1, ImageState::Indexed),
            (vec![place(6.0)], 2, ImageState::Indexed),
            (vec![place(0.0), place(50.0)], 0, ImageState::NoFaces),
        ] {
            let mut commit = commit.clone();
            assert_eq!(commit.forget(&places), left < 2, "{places:?}");
            assert_eq!((commit.faces.len(), commit.image.face_count, commit.image.state), (left, left as u32, state));
        }
    }
}
