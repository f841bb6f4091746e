//! Pages of long lists, each from where the one before ended.

use muster_actors::domain::face::FaceId;
use muster_actors::domain::gallery::GroupId;
use muster_actors::domain::image::ImageId;

/// A filter of faces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaceFilter {
    /// All faces, without detections that are not faces.
    All,
    /// Faces of one group.
    Group(GroupId),
    /// Faces in any group.
    Grouped,
    /// Faces in no group.
    Ungrouped,
    /// Detections that are not faces, by a person's word or by the models.
    NonFaces,
    /// Detections of a photo, with those that are not faces.
    Image(ImageId),
}

/// The sort key of faces, by which a page continues: quality, the best first, then id.
pub type PageCursor = (f32, FaceId);

/// The rows of a page, with the length of the whole list.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PageRows<T> {
    /// The rows, in order.
    pub rows: Vec<T>,
    /// Length of the whole list.
    pub total: u64,
}
