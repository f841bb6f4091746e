//! A gallery that is read and corrected: over a library, or over the database of a fleet. What is said means the same over
//! both (`muster_actors`' corrections).

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use muster_actors::domain::face::FaceId;
use muster_actors::domain::gallery::{GalleryId, GroupId};
use muster_actors::domain::image::{ImageId, ImageState};
use muster_actors::grouping::explain::Explanation;
use muster_actors::people::Correction;
use muster_actors::ports::faces::Commit;

use crate::AlbumError;
use crate::corrected::Corrected;
use crate::enrolment::Newcomer;
use crate::history::Entry;
use crate::pages::{Faces, Part, Place};
use crate::receipt::Receipt;
use crate::suggested::Suggested;
use crate::view::{FaceRow, ImageRow, Person, Totals};

/// One gallery.
#[async_trait]
pub trait Album: Send + Sync {
    /// How many there are of everything.
    async fn totals(&self) -> Result<Totals, AlbumError>;
    /// All people, the largest groups first.
    async fn people(&self) -> Result<Arc<Vec<Person>>, AlbumError>;
    /// Where an id that went into another leads; itself where it is a group.
    async fn group(&self, id: GroupId) -> Result<Option<GroupId>, AlbumError>;
    /// The groups that have a face in a photo whose key holds this text, whatever its case.
    async fn groups_in(&self, text: &str) -> Result<BTreeSet<GroupId>, AlbumError>;
    /// At most `limit` faces behind a place, the best first.
    async fn faces(&self, which: Faces, after: Option<Place>, limit: usize) -> Result<Part<FaceRow>, AlbumError>;
    /// One face.
    async fn face(&self, id: FaceId) -> Result<Option<FaceRow>, AlbumError>;
    /// What a face looks like: a JPEG.
    async fn crop(&self, face: &FaceRow) -> Result<Vec<u8>, AlbumError>;
    /// At most `limit` photos behind a bucket and key, by them.
    async fn photos(
        &self,
        state: Option<ImageState>,
        after: Option<(String, String)>,
        limit: usize,
    ) -> Result<Part<ImageRow>, AlbumError>;
    /// One photo.
    async fn photo(&self, id: ImageId) -> Result<Option<ImageRow>, AlbumError>;
    /// Notes what somebody says, and applies it. `by` is who says it.
    async fn correct(&self, correction: Correction, by: &str) -> Result<Corrected, AlbumError>;
    /// Takes a change back: the one with this number, or the last that was not taken back.
    async fn undo(&self, change: Option<u64>, by: &str) -> Result<Corrected, AlbumError>;
    /// At most `limit` changes before a number, the last first.
    async fn history(&self, before: Option<u64>, limit: usize) -> Result<Vec<Entry>, AlbumError>;
    /// Stores photos of one person, each with one face, and says so; the group they came into.
    async fn enrol(&self, photos: Vec<Commit>, newcomer: Newcomer, by: &str) -> Result<Option<GroupId>, AlbumError>;
    /// The questions that are open, those first whose answers are likely to put most faces right.
    async fn suggestions(&self) -> Result<Vec<Suggested>, AlbumError>;
    /// Which gallery it is.
    fn gallery(&self) -> GalleryId;
    /// Forgets all faces of a group, and the person. `by` is who asks.
    async fn forget_person(&self, id: GroupId, by: &str) -> Result<Receipt, AlbumError>;
    /// Forgets a photo. `by` is who asks.
    async fn forget_photo(&self, photo: &ImageRow, by: &str) -> Result<Receipt, AlbumError>;
    /// Why two faces are together or apart.
    async fn why(&self, a: FaceId, b: FaceId) -> Result<Explanation, AlbumError>;
}

/// All galleries of a service.
#[async_trait]
pub trait Albums: Send + Sync {
    /// One of them; the service's own where none is named.
    async fn open(&self, gallery: Option<GalleryId>) -> Result<Arc<dyn Album>, AlbumError>;
    /// Their names.
    async fn list(&self) -> Result<Vec<GalleryId>, AlbumError>;
    /// Ends what it holds open; nothing answers after this.
    async fn close(&self);
}

/// A person; an id that went into another by a merge leads there.
pub async fn person(album: &dyn Album, id: GroupId) -> Result<Option<Person>, AlbumError> {
    let Some(found) = album.group(id).await? else { return Ok(None) };
    Ok(album.people().await?.iter().find(|person| person.id == found).cloned())
}
