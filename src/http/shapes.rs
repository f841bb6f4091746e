//! JSON bodies of answers.

use std::time::Duration;

use muster_actors::domain::face::{BBox, FaceId, Landmarks, Quality as FaceQuality, QualityReason};
use muster_actors::domain::gallery::{GroupId, Lineage};
use muster_actors::domain::image::{ImageId, ImageState};
use muster_actors::domain::person::BirthDate;
use muster_actors::grouping::identification::{Candidate as IdentifiedCandidate, Identified};
use serde::Serialize;
use utoipa::ToSchema;

use muster_actors::people::Moved;
use muster_gallery::corrected::{Corrected, PersonChange, Renamed};
use muster_gallery::view::{FaceRow, ImageRow, Original, Person as Group};
use muster_worker::recognition::query::{IdentifiedFace, IdentifiedFaces};

/// A group by its id and name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct PersonRef {
    /// Stable id.
    #[schema(value_type = String, pattern = "^[0-9a-f]{32}$")]
    pub id: GroupId,
    /// What people call it.
    pub name: Option<String>,
}

/// A group of faces of one person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Person {
    /// Stable id: it survives growth, splits and, by redirect, merges.
    #[schema(value_type = String, pattern = "^[0-9a-f]{32}$")]
    pub id: GroupId,
    /// What people call it.
    pub name: Option<String>,
    /// Its faces.
    pub faces: u64,
    /// The photos they are in.
    pub photos: u64,
    /// The face that shows it best.
    #[schema(value_type = String, pattern = "^[0-9a-f]{32}$")]
    pub cover: FaceId,
    /// Whether lists leave it out.
    pub hidden: bool,
    /// The date of birth: `1984`, `1984-05` or `1984-05-17`.
    #[schema(value_type = Option<String>)]
    pub born: Option<BirthDate>,
    /// What somebody noted.
    pub notes: Option<String>,
}

impl From<&Group> for Person {
    fn from(group: &Group) -> Self {
        let Group { id, name, faces, photos, cover, is_hidden, born, notes, .. } = group.clone();
        Self { id, name, faces, photos, cover, hidden: is_hidden, born, notes }
    }
}

/// A box in pixels of the upright photo. It may reach past its edges.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, ToSchema)]
pub struct Rectangle {
    x: f32,
    y: f32,
    width: f32,
    height: f32,
}

impl From<BBox> for Rectangle {
    fn from(BBox { x, y, width, height }: BBox) -> Self {
        Self { x, y, width, height }
    }
}

/// How good a face is for recognition.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Quality {
    /// 0 (useless) to 1.
    #[schema(minimum = 0, maximum = 1)]
    overall: f32,
    /// What is wrong with it.
    #[schema(value_type = Vec<String>)]
    reasons: Vec<QualityReason>,
    /// Probability of being a face at all; 1 where nobody looked twice.
    #[schema(minimum = 0, maximum = 1)]
    face: f32,
}

impl From<&FaceQuality> for Quality {
    fn from(quality: &FaceQuality) -> Self {
        Self { overall: quality.overall, reasons: quality.reasons.clone(), face: quality.face }
    }
}

/// A face of the library.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Face {
    /// Stable id.
    #[schema(value_type = String, pattern = "^[0-9a-f]{32}$")]
    id: FaceId,
    /// Its photo.
    #[schema(value_type = String, pattern = "^[0-9a-f]{32}$")]
    photo: ImageId,
    /// The photo's path, relative to the library's folder or absolute.
    path: String,
    /// Where in the photo.
    #[serde(rename = "box")]
    bbox: Rectangle,
    /// How good.
    quality: Quality,
    /// Whose it is.
    person: Option<PersonRef>,
    /// Whether it counts as a face: by the last word of a person, else by its probability.
    is_face: bool,
    /// Whether somebody said that it is its person's.
    confirmed: bool,
}

impl From<FaceRow> for Face {
    fn from(row: FaceRow) -> Self {
        Self {
            id: row.id,
            photo: row.image,
            path: row.path,
            bbox: row.bbox.into(),
            quality: Quality::from(&row.quality),
            person: row.group.map(|id| PersonRef { id, name: row.name }),
            is_face: row.is_face,
            confirmed: row.is_confirmed,
        }
    }
}

/// A photo by its id and path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct PhotoRef {
    /// Stable id.
    #[schema(value_type = String, pattern = "^[0-9a-f]{32}$")]
    id: ImageId,
    /// Relative to the library's folder, or absolute.
    path: String,
}

/// A photo of the library.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Photo {
    /// Stable id.
    #[schema(value_type = String, pattern = "^[0-9a-f]{32}$")]
    id: ImageId,
    /// Relative to the library's folder, or absolute.
    path: String,
    /// How it ended: `indexed`, `no_faces`, `low_quality` or `rejected`.
    #[schema(value_type = String)]
    state: ImageState,
    /// Why it was rejected.
    reason: Option<String>,
    /// One sentence for a person.
    detail: Option<String>,
    /// The thumbnail's score, where it was judged.
    quality: Option<f32>,
    /// Of the upright photo, in pixels; 0 where it was never decoded.
    width: u32,
    /// Of the upright photo, in pixels; 0 where it was never decoded.
    height: u32,
    /// Encoded size.
    bytes: u64,
    /// Faces of it.
    face_count: u64,
    /// When it was taken, by the clock of the place: ISO 8601, with the offset from UTC where that
    /// is known.
    #[schema(value_type = Option<String>, example = "2020-07-06T10:10:10.123+02:00")]
    taken: Option<String>,
    /// The photo that it is a copy of: the same picture, larger or better.
    copy_of: Option<PhotoRef>,
    /// The faces, where one photo is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    faces: Option<Vec<Face>>,
}

impl Photo {
    /// With its faces, where they are asked for.
    pub fn new(row: ImageRow, faces: Option<Vec<Face>>) -> Self {
        Self {
            id: row.id,
            path: row.path,
            state: row.state,
            reason: row.reason.map(|reason| reason.as_str().to_owned()),
            detail: row.detail,
            quality: row.quality,
            width: row.width,
            height: row.height,
            bytes: row.bytes,
            face_count: row.face_count,
            taken: row.capture.taken.map(|taken| taken.to_string()),
            copy_of: row.copy_of.map(|Original { id, path }| PhotoRef { id, path }),
            faces,
        }
    }
}

/// A group that came, went or changed its shape.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Change {
    /// `named`, `hidden`, `shown`, `described`, `merged`, `split`, `moved`, `confirmed`, `not-this-person`,
    /// `not-one-person`, `not-same`, `is-face`, `not-a-face`, `enrolled` or `undone`.
    said: String,
    /// Its number, by which it is taken back; `null` where it was so already.
    change: Option<u64>,
    /// Groups that came and went.
    #[schema(value_type = Vec<Object>)]
    events: Vec<Lineage>,
    /// All people that are other than before, with what they were and what they are.
    #[schema(value_type = Vec<Object>)]
    people: Vec<PersonChange>,
    /// Groups that are called otherwise.
    #[schema(value_type = Vec<Object>)]
    renamed: Vec<Renamed>,
    /// Faces that are elsewhere.
    #[schema(value_type = Vec<Object>)]
    moved: Vec<Moved>,
    /// All of it, for a person.
    text: String,
}

impl From<Corrected> for Change {
    fn from(corrected: Corrected) -> Self {
        let text = corrected.to_string();
        let Corrected { said, change, events, people, renamed, moved, .. } = corrected;
        Self { said, change, events, people, renamed, moved, text }
    }
}

/// What is said of a face.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Verdict)]
#[serde(rename_all = "snake_case")]
pub enum RecognitionVerdict {
    /// A person with a name.
    Known,
    /// A person that nobody has named.
    Unnamed,
    /// Nobody who is known.
    Unknown,
}

/// A person that a face resembles.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Candidate {
    /// Who.
    person: PersonRef,
    /// How much: cosine, -1 to 1.
    similarity: f32,
    /// The person's face that is nearest.
    #[schema(value_type = String, pattern = "^[0-9a-f]{32}$")]
    face: FaceId,
}

impl From<IdentifiedCandidate> for Candidate {
    fn from(IdentifiedCandidate { group, name, similarity, face }: IdentifiedCandidate) -> Self {
        Self { person: PersonRef { id: group, name }, similarity, face }
    }
}

/// A face of the photo that was asked about.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct RecognizedFace {
    /// Where in the photo.
    #[serde(rename = "box")]
    bbox: Rectangle,
    /// Five points: the eye on the left, the eye on the right, nose tip, mouth corners.
    #[schema(value_type = Vec<Vec<f32>>)]
    landmarks: Landmarks,
    /// How good.
    quality: Quality,
    /// What is said of it.
    verdict: RecognitionVerdict,
    /// Who it is; `null` where nobody is near enough.
    person: Option<PersonRef>,
    /// Of the best candidate.
    similarity: Option<f32>,
    /// How far it is ahead of the second.
    margin: Option<f32>,
    /// The best ones, nearest first.
    candidates: Vec<Candidate>,
}

impl RecognizedFace {
    fn new(face: IdentifiedFace) -> Self {
        let Identified { candidates, margin, certain, .. } = face.who;
        let candidates: Vec<Candidate> = candidates.into_iter().map(Candidate::from).collect();
        let person = candidates.first().filter(|_| certain).map(|first| first.person.clone());
        let verdict = match &person {
            Some(PersonRef { name: Some(_), .. }) => RecognitionVerdict::Known,
            Some(PersonRef { name: None, .. }) => RecognitionVerdict::Unnamed,
            None => RecognitionVerdict::Unknown,
        };
        Self {
            bbox: face.bbox.into(),
            landmarks: face.landmarks,
            quality: Quality::from(&face.quality),
            verdict,
            person,
            similarity: candidates.first().map(|first| first.similarity),
            margin,
            candidates,
        }
    }
}

/// The faces of a photo, and whose they are.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Recognition {
    /// Of the upright photo, in pixels.
    pub width: u32,
    /// Of the upright photo, in pixels.
    pub height: u32,
    /// The model pack that looked.
    pub model: String,
    /// How long it took, from the last byte of the photo on.
    pub milliseconds: u64,
    /// By descending score.
    pub faces: Vec<RecognizedFace>,
}

impl Recognition {
    /// What was seen within a time.
    pub fn new(seen: IdentifiedFaces, took: Duration) -> Self {
        let IdentifiedFaces { width, height, model, faces } = seen;
        Self {
            width,
            height,
            model,
            milliseconds: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            faces: faces.into_iter().map(RecognizedFace::new).collect(),
        }
    }
}
