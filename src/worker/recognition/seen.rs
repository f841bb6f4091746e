//! What is asked about a photo, and what was seen in it.

use muster_actors::domain::face::{BBox, Face, Landmarks, Quality};
use muster_actors::domain::gallery::GalleryId;
use muster_actors::domain::image::ImageRecord;
use muster_actors::grouping::identification::Identified;
use serde::{Deserialize, Serialize};

/// What a caller wants to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// Among whom is searched; `None` takes the service's own gallery.
    pub gallery: Option<GalleryId>,
    /// Candidates of each face at most.
    pub keep: usize,
}

/// A face of the photo.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SeenFace {
    /// Where, in pixels of the upright photo.
    pub bbox: BBox,
    /// Its five points.
    pub landmarks: Landmarks,
    /// How good.
    pub quality: Quality,
    /// Whose it may be.
    pub who: Identified,
}

/// The faces of a photo themselves, with vectors and crops: for whoever stores them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Found {
    /// The photo.
    pub image: ImageRecord,
    /// Its faces.
    pub faces: Vec<Face>,
    /// Whose each may be.
    pub who: Vec<Identified>,
}

/// The faces of a photo, and whose they are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    /// Of the upright photo, in pixels.
    pub width: u32,
    /// Of the upright photo, in pixels.
    pub height: u32,
    /// The model pack that looked.
    pub model: String,
    /// By descending score.
    pub faces: Vec<SeenFace>,
}

impl From<Found> for Seen {
    fn from(Found { image, faces, who }: Found) -> Self {
        let seen = faces.into_iter().zip(who).map(|(face, who)| SeenFace {
            bbox: face.bbox,
            landmarks: face.landmarks,
            quality: face.quality,
            who,
        });
        Self { width: image.width, height: image.height, model: image.model, faces: seen.collect() }
    }
}
