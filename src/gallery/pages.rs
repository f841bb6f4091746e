//! Parts of lists that may be long, each from where the one before ended.

use muster_actors::domain::face::FaceId;
use muster_actors::domain::gallery::GroupId;
use muster_actors::domain::image::ImageId;

/// Which faces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Faces {
    /// All, without what is no face.
    All,
    /// Those of a group.
    Group(GroupId),
    /// Those of any group.
    Grouped,
    /// Those in none.
    Ungrouped,
    /// What is no face: by the word of a person, else by the models'.
    NonFaces,
    /// Those of a photo, with what is no face.
    Image(ImageId),
}

/// What faces are ordered by: the best first, then by id.
pub type Place = (f32, FaceId);

/// A part of a list, and how long the whole is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Part<T> {
    /// In order.
    pub rows: Vec<T>,
    /// Length of the whole list.
    pub total: u64,
}
