//! The rows that commands, exports and reports show, with one struct for each kind.

use muster_actors::domain::capture::{Capture, Taken};
use muster_actors::domain::face::{BBox, FaceId, Landmarks, Quality};
use muster_actors::domain::gallery::GroupId;
use muster_actors::domain::image::{ImageId, ImageState, RejectReason};
use muster_actors::domain::person::BirthDate;
use serde::Serialize;

/// A group in a list. Faces that were deleted after the last grouping are not counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Person {
    /// Id of the person, which stays the same when the gallery is grouped again.
    pub id: GroupId,
    /// Name, if it has one.
    pub name: Option<String>,
    /// Number of faces.
    pub faces: u64,
    /// Number of photos with these faces.
    pub photos: u64,
    /// Face that shows the group best.
    pub cover: FaceId,
    /// Path of the photo of the cover.
    pub cover_path: String,
    /// Whether it is a person with a record, because somebody stated something about it.
    pub is_person: bool,
    /// Whether lists leave it out unless they are asked for hidden persons.
    pub is_hidden: bool,
    /// The date of birth.
    pub born: Option<BirthDate>,
    /// Notes that somebody wrote.
    pub notes: Option<String>,
}

/// A face with all properties that are shown.
#[derive(Clone, Debug, PartialEq)]
pub struct FaceRow {
    /// Number of the row in a library, by which its crop and its embedding are read; 0 elsewhere.
    pub n: i64,
    /// Id of the face, which stays the same.
    pub id: FaceId,
    /// Photo of the face.
    pub image: ImageId,
    /// Path of the photo, for people.
    pub path: String,
    /// Bucket of the photo.
    pub bucket: String,
    /// Key of the photo in the bucket.
    pub key: String,
    /// Box in pixels of the full upright photo.
    pub bbox: BBox,
    /// Five points in pixels of the full upright photo.
    pub landmarks: Landmarks,
    /// Quality of the face.
    pub quality: Quality,
    /// Its group, if it is in one.
    pub group: Option<GroupId>,
    /// Name of the group, if it has one.
    pub name: Option<String>,
    /// Whether it counts as a face, by the last statement of a person, otherwise by its
    /// probability.
    pub is_face: bool,
    /// Whether somebody confirmed that it is of its group's person.
    pub is_confirmed: bool,
}

/// An image with all properties that are shown.
#[derive(Clone, Debug, PartialEq)]
pub struct ImageRow {
    /// Id, a digest of gallery, bucket and key.
    pub id: ImageId,
    /// Path of the image, for people.
    pub path: String,
    /// Bucket of the image.
    pub bucket: String,
    /// Key of the image in the bucket.
    pub key: String,
    /// Encoded size in bytes.
    pub bytes: u64,
    /// Full upright width in pixels.
    pub width: u32,
    /// Full upright height in pixels.
    pub height: u32,
    /// EXIF orientation, 1 to 8.
    pub orientation: u8,
    /// Time, series and picture hash of the photo.
    pub capture: Capture,
    /// Time of the photo by the file itself. If the file has none, `capture` has the time by the
    /// file's name.
    pub taken_in_file: Option<Taken>,
    /// The photo of which it is a copy (see [`crate::copies`]). It is only filled in by calls that
    /// read a whole gallery.
    pub copy_of: Option<Original>,
    /// State in which it ended.
    pub state: ImageState,
    /// Reason, if it was rejected.
    pub reason: Option<RejectReason>,
    /// One sentence for a person, if it was rejected.
    pub detail: Option<String>,
    /// Score of the prefilter, 0 to 1.
    pub quality: Option<f32>,
    /// Number of faces stored with it, detections that are not faces included.
    pub face_count: u64,
    /// Id of the model pack.
    pub model: String,
}

/// The original of a copied photo.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Original {
    /// Id of the image.
    pub id: ImageId,
    /// Path of the image, for people.
    pub path: String,
}

/// Counts of a gallery: images by state, faces and groups.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Number of all images.
    pub images: u64,
    /// Images with faces.
    pub indexed: u64,
    /// Images without faces.
    pub no_faces: u64,
    /// Images that the prefilter judged too poor.
    pub low_quality: u64,
    /// Images that cannot be used.
    pub rejected: u64,
    /// All faces, without detections that are not faces.
    pub faces: u64,
    /// Faces in no group.
    pub ungrouped: u64,
    /// Groups that have a face.
    pub groups: u64,
    /// Detections that are not faces.
    pub non_faces: u64,
}
