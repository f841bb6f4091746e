//! The traits by which a gallery is read and corrected, whether it is a library or is in a fleet's database. A
//! correction has the same effect in both.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use muster_actors::domain::face::{BBox, FaceId};
use muster_actors::domain::gallery::{GalleryId, GroupId};
use muster_actors::domain::image::{ImageId, ImageState};
use muster_actors::grouping::explain::Explanation;
use muster_actors::people::Correction;
use muster_actors::ports::faces::Commit;

use crate::GalleryError;
use crate::corrected::Corrected;
use crate::enrolment::Enrolment;
use crate::history::ChangeEntry;
use crate::pages::{FaceFilter, PageCursor, PageRows};
use crate::receipt::Receipt;
use crate::suggested::Suggested;
use crate::view::{FaceRow, ImageRow, Person, Totals};

/// A gallery that is read and corrected.
#[async_trait]
pub trait GalleryStore: Send + Sync {
    /// Counts everything in the gallery.
    ///
    /// # Errors
    /// [`GalleryError::Store`] when the store fails.
    async fn totals(&self) -> Result<Totals, GalleryError>;
    /// Lists all people, the largest groups first.
    ///
    /// # Errors
    /// [`GalleryError::Store`] when the store fails.
    async fn people(&self) -> Result<Arc<Vec<Person>>, GalleryError>;
    /// Resolves an id: that of a merged group to the group that it is part of now, that of a group to itself; `None`
    /// where the id is unknown.
    ///
    /// # Errors
    /// [`GalleryError::Store`] when the store fails.
    async fn group(&self, id: GroupId) -> Result<Option<GroupId>, GalleryError>;
    /// Finds the groups with a face in a photo whose key contains this text, in any case of letters.
    ///
    /// # Errors
    /// [`GalleryError::Store`] when the store fails.
    async fn groups_in(&self, text: &str) -> Result<BTreeSet<GroupId>, GalleryError>;
    /// Lists at most `limit` faces after a cursor, the best first.
    ///
    /// # Errors
    /// [`GalleryError::Store`] when the store fails.
    async fn faces(
        &self,
        which: FaceFilter,
        after: Option<PageCursor>,
        limit: usize,
    ) -> Result<PageRows<FaceRow>, GalleryError>;
    /// Reads one face; `None` where there is no such face.
    ///
    /// # Errors
    /// [`GalleryError::Store`] when the store fails.
    async fn face(&self, id: FaceId) -> Result<Option<FaceRow>, GalleryError>;
    /// Reads the crop of a face, a JPEG.
    ///
    /// # Errors
    /// [`GalleryError::Store`] when the store fails.
    async fn crop(&self, face: &FaceRow) -> Result<Vec<u8>, GalleryError>;
    /// Lists at most `limit` photos after a bucket and key, in the order of these.
    ///
    /// # Errors
    /// [`GalleryError::Store`] when the store fails.
    async fn photos(
        &self,
        state: Option<ImageState>,
        after: Option<(String, String)>,
        limit: usize,
    ) -> Result<PageRows<ImageRow>, GalleryError>;
    /// Reads one photo; `None` where there is no such photo.
    ///
    /// # Errors
    /// [`GalleryError::Store`] when the store fails.
    async fn photo(&self, id: ImageId) -> Result<Option<ImageRow>, GalleryError>;
    /// Adds the face in a box of a photo, in pixels of the upright photo. Returns the face that is there now, which may be
    /// one that was there already.
    async fn add_face(&self, photo: ImageId, drawn: BBox) -> Result<FaceId, GalleryError>;
    /// Stores and applies a correction by the author `by`.
    ///
    /// # Errors
    /// [`GalleryError::Correction`] when the correction does not fit the groups; [`GalleryError::Busy`] when the
    /// gallery is written to all the time; [`GalleryError::Grouping`] or [`GalleryError::Store`] when a dependency
    /// fails.
    async fn correct(&self, correction: Correction, by: &str) -> Result<Corrected, GalleryError>;
    /// Undoes the change with this number, or the last one that was not undone.
    ///
    /// # Errors
    /// [`GalleryError::Nothing`], [`GalleryError::NoChange`] or [`GalleryError::Undo`] when there is no such change or
    /// it cannot be undone; otherwise as [`Self::correct`].
    async fn undo(&self, change: Option<u64>, by: &str) -> Result<Corrected, GalleryError>;
    /// Lists at most `limit` changes before a number, the last first.
    ///
    /// # Errors
    /// [`GalleryError::Store`] when the store fails.
    async fn history(&self, before: Option<u64>, limit: usize) -> Result<Vec<ChangeEntry>, GalleryError>;
    /// Stores photos of one person, each with one face, and returns the group of these faces.
    ///
    /// # Errors
    /// As [`Self::correct`].
    async fn enrol(&self, photos: Vec<Commit>, enrolment: Enrolment, by: &str)
    -> Result<Option<GroupId>, GalleryError>;
    /// Lists the open questions. Those come first whose answers are likely to correct the most faces.
    ///
    /// # Errors
    /// [`GalleryError::Store`] when the store fails.
    async fn suggestions(&self) -> Result<Vec<Suggested>, GalleryError>;
    /// Returns the id of the gallery.
    fn gallery(&self) -> GalleryId;
    /// Forgets all faces of a group, and the person, on behalf of `by`.
    ///
    /// # Errors
    /// [`GalleryError::Store`] when a store fails.
    async fn forget_person(&self, id: GroupId, by: &str) -> Result<Receipt, GalleryError>;
    /// Forgets a photo on behalf of `by`.
    ///
    /// # Errors
    /// [`GalleryError::Store`] when a store fails.
    async fn forget_photo(&self, photo: &ImageRow, by: &str) -> Result<Receipt, GalleryError>;
    /// Explains why two faces are together or apart.
    ///
    /// # Errors
    /// [`GalleryError::Grouping`] when the gallery cannot be clustered; [`GalleryError::Store`] when the store fails.
    async fn why(&self, a: FaceId, b: FaceId) -> Result<Explanation, GalleryError>;
}

/// The galleries that a service can open.
#[async_trait]
pub trait GalleryStores: Send + Sync {
    /// Opens a gallery, or the service's own where none is named.
    ///
    /// # Errors
    /// [`GalleryError::NoGallery`] when there is no such gallery; [`GalleryError::WhichGallery`] when none is named and
    /// the service has none of its own; [`GalleryError::Store`] when the store fails.
    async fn open(&self, gallery: Option<GalleryId>) -> Result<Arc<dyn GalleryStore>, GalleryError>;
    /// Lists the names of the galleries.
    ///
    /// # Errors
    /// [`GalleryError::Store`] when the store fails.
    async fn list(&self) -> Result<Vec<GalleryId>, GalleryError>;
    /// Closes the connections; every later call fails.
    async fn close(&self);
}

/// Reads a person. The id of a merged person leads to the person that it is part of now; `None` where the id is
/// unknown.
///
/// # Errors
/// [`GalleryError::Store`] when the store fails.
pub async fn person(store: &dyn GalleryStore, id: GroupId) -> Result<Option<Person>, GalleryError> {
    let Some(found) = store.group(id).await? else { return Ok(None) };
    Ok(store.people().await?.iter().find(|person| person.id == found).cloned())
}
