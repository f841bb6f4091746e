//! Rows that commands, exports and reports show, with one struct for each kind.

use muster_actors::domain::capture::{Capture, Taken};
use muster_actors::domain::face::{BBox, FaceId, Landmarks, Quality};
use muster_actors::domain::gallery::GroupId;
use muster_actors::domain::image::{ImageId, ImageState, RejectReason};
use muster_actors::domain::person::BirthDate;
use serde::Serialize;

/// A group as it is listed. Faces that are gone since the last grouping are not counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Person {
    /// Stable id.
    pub id: GroupId,
    /// What people call it.
    pub name: Option<String>,
    /// Number of faces.
    pub faces: u64,
    /// Number of photos they are in.
    pub photos: u64,
    /// The face that shows the group best.
    pub cover: FaceId,
    /// The photo of the cover.
    pub cover_path: String,
    /// Whether somebody spoke of it, so that it is a person with a record.
    pub is_person: bool,
    /// Whether lists leave it out unless they are asked for hidden ones.
    pub is_hidden: bool,
    /// The date of birth.
    pub born: Option<BirthDate>,
    /// What somebody noted.
    pub notes: Option<String>,
}

/// A face with all that is shown of it.
#[derive(Clone, Debug, PartialEq)]
pub struct FaceRow {
    /// Number of its row in a library, by which its crop and its embedding are read; 0 elsewhere.
    pub n: i64,
    /// Stable id.
    pub id: FaceId,
    /// Its photo.
    pub image: ImageId,
    /// The photo's path, as people read it.
    pub path: String,
    /// Where the photo is.
    pub bucket: String,
    /// Where the photo is.
    pub key: String,
    /// Where in the photo.
    pub bbox: BBox,
    /// Its five points.
    pub landmarks: Landmarks,
    /// How good.
    pub quality: Quality,
    /// Its group, if it is in one.
    pub group: Option<GroupId>,
    /// What people call the group.
    pub name: Option<String>,
    /// Whether it counts as a face: by the last word of a person, else by its probability.
    pub is_face: bool,
    /// Whether somebody said that it is of its group's person.
    pub is_confirmed: bool,
}

/// An image with all that is shown of it.
#[derive(Clone, Debug, PartialEq)]
pub struct ImageRow {
    /// Deterministic id.
    pub id: ImageId,
    /// Its path, as people read it.
    pub path: String,
    /// Where it is.
    pub bucket: String,
    /// Where it is.
    pub key: String,
    /// Encoded size in bytes.
    pub bytes: u64,
    /// Full upright width in pixels.
    pub width: u32,
    /// Full upright height in pixels.
    pub height: u32,
    /// EXIF orientation, 1 to 8.
    pub orientation: u8,
    /// How it came about: when it was taken, what it looks like as a whole.
    pub capture: Capture,
    /// When it was taken, where the file itself says so; `capture` has what its name says, else.
    pub taken_in_file: Option<Taken>,
    /// The photo that it is a copy of; see [`crate::copies`]. Filled in where a whole gallery is at
    /// hand.
    pub copy_of: Option<Original>,
    /// How it ended.
    pub state: ImageState,
    /// Why, when rejected.
    pub reason: Option<RejectReason>,
    /// One sentence for a person, when rejected.
    pub detail: Option<String>,
    /// The prefilter's score.
    pub quality: Option<f32>,
    /// Number of faces stored with it, those that are none included.
    pub face_count: u64,
    /// Id of the model pack.
    pub model: String,
}

/// A photo that another is a copy of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Original {
    /// Its deterministic id.
    pub id: ImageId,
    /// Its path, as people read it.
    pub path: String,
}

/// How many images ended in each state, how many faces there are, and how many are in a group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// All images.
    pub images: u64,
    /// With faces.
    pub indexed: u64,
    /// Without.
    pub no_faces: u64,
    /// Judged too poor by the prefilter.
    pub low_quality: u64,
    /// Not usable.
    pub rejected: u64,
    /// All faces, without what is no face.
    pub faces: u64,
    /// Faces in no group.
    pub ungrouped: u64,
    /// Groups that have a face.
    pub groups: u64,
    /// Detections that are no faces: not among the faces.
    pub non_faces: u64,
}
