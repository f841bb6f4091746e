//! Pages of long lists. Each page continues where the one before ended.

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
    /// Detections that are not faces, by a person's statement or by the models' judgement.
    NonFaces,
    /// All detections of a photo, including those that are not faces.
    Image(ImageId),
}

/// The sort key of faces, from which a page continues: quality (0 to 1, the best first), then id.
pub type PageCursor = (f32, FaceId);

/// The rows of a page, with the length of the whole list.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PageRows<T> {
    /// The rows, in order.
    pub rows: Vec<T>,
    /// Length of the whole list.
    pub total: u64,
}
