//! Reads the parts of photos' records that their faces need.

use std::collections::BTreeMap;

use mongodb::bson::{Document, doc};
use muster_actors::domain::capture::Capture;
use muster_actors::domain::face::BBox;
use muster_actors::domain::face_place::FacePlace;
use muster_actors::domain::image::ImageId;

use super::MongoError;
use super::documents::{self, image_id, unsigned};

/// The part of a photo's record that its faces need.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Photo {
    /// Circumstances of the capture.
    pub(super) capture: Capture,
    /// Place of its faces, except for the box.
    place: FacePlace,
}

/// Photos by id.
pub(super) type Photos = BTreeMap<ImageId, Photo>;

/// Returns the projection that [`read`] needs.
pub(super) fn projection() -> Document {
    let mut projection = documents::capture_fields();
    projection.extend(doc! { "content": 1, "width": 1, "height": 1 });
    projection
}

/// Reads a photo from its document.
pub(super) fn read(document: &Document) -> Result<(ImageId, Photo), MongoError> {
    let side = |key| Ok::<_, MongoError>(u32::try_from(unsigned(document, key)?).unwrap_or(u32::MAX));
    let capture = documents::capture(document)?;
    let place = FacePlace {
        content: documents::content(document),
        picture: capture.picture,
        taken: documents::taken(document)?,
        width: side("width")?,
        height: side("height")?,
        bbox: BBox::default(),
    };
    Ok((image_id(document, "_id")?, Photo { capture, place }))
}

impl Photo {
    /// Returns the place of the face with this box.
    pub(super) fn place(&self, bbox: BBox) -> FacePlace {
        FacePlace { bbox, ..self.place }
    }
}
