//! Queries of callers about a photo, and their results.

use muster_actors::domain::face::{BBox, Face, Landmarks, Quality};
use muster_actors::domain::gallery::GalleryId;
use muster_actors::domain::image::ImageRecord;
use muster_actors::grouping::identification::Identified;
use serde::{Deserialize, Serialize};

/// Options of a caller: the gallery to search and the number of candidates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecognitionQuery {
    /// The gallery to search; `None` for the service's own.
    pub gallery: Option<GalleryId>,
    /// Most candidates of each face.
    pub keep: usize,
}

/// A face of a photo with the people whom it resembles.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IdentifiedFace {
    /// The face's box, in pixels of the upright photo.
    pub bbox: BBox,
    /// Five points: eyes, nose tip, mouth corners.
    pub landmarks: Landmarks,
    /// Quality of the face.
    pub quality: Quality,
    /// Whose it may be.
    pub who: Identified,
}

/// A photo's record and faces, with vectors and crops, for a caller that stores them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AnalysedPhoto {
    /// The photo's record.
    pub image: ImageRecord,
    /// Its faces.
    pub faces: Vec<Face>,
    /// The people whom each face resembles, in the order of `faces`.
    pub who: Vec<Identified>,
}

/// The faces of a photo with the people whom they resemble.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IdentifiedFaces {
    /// Of the upright photo, in pixels.
    pub width: u32,
    /// Of the upright photo, in pixels.
    pub height: u32,
    /// Name of the model pack.
    pub model: String,
    /// By descending score.
    pub faces: Vec<IdentifiedFace>,
}

impl From<AnalysedPhoto> for IdentifiedFaces {
    fn from(AnalysedPhoto { image, faces, who }: AnalysedPhoto) -> Self {
        let seen = faces.into_iter().zip(who).map(|(face, who)| IdentifiedFace {
            bbox: face.bbox,
            landmarks: face.landmarks,
            quality: face.quality,
            who,
        });
        Self { width: image.width, height: image.height, model: image.model, faces: seen.collect() }
    }
}
