//! What faces need to know of their photos.

use std::collections::BTreeMap;

use mongodb::bson::{Document, doc};
use muster_actors::domain::capture::Capture;
use muster_actors::domain::face::BBox;
use muster_actors::domain::face_place::FacePlace;
use muster_actors::domain::image::ImageId;

use super::MongoError;
use super::documents::{self, image_id, unsigned};

/// What the faces of a photo need to know of it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Photo {
    /// How it came about.
    pub(super) capture: Capture,
    /// The place of its faces, but for the box.
    place: FacePlace,
}

/// Photos by id.
pub(super) type Photos = BTreeMap<ImageId, Photo>;

/// The projection that [`read`] needs.
pub(super) fn projection() -> Document {
    let mut projection = documents::capture_fields();
    projection.extend(doc! { "content": 1, "width": 1, "height": 1 });
    projection
}

/// A photo from its document.
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
    /// The place of a face in it.
    pub(super) fn place(&self, bbox: BBox) -> FacePlace {
        FacePlace { bbox, ..self.place }
    }
}
