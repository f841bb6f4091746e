//! Enrolment of a person by faces from photos that are not kept. Pure functions.

use muster_actors::domain::face::{Face, FaceId};
use muster_actors::domain::gallery::{GalleryId, GroupId};
use muster_actors::domain::image::{ImageRecord, ImageState, Locator};
use muster_actors::domain::timings::Timings;
use muster_actors::domain::version::ObjectVersion;
use muster_actors::people::Correction;
use muster_actors::ports::faces::Commit;

use crate::ENROLLED;

/// Builds the record of a photo with one face. Its key is a hash of its bytes, so that the same photo is stored once.
pub fn record(gallery: &GalleryId, photo: &[u8], image: ImageRecord, faces: Vec<Face>) -> Commit {
    let key = blake3::hash(photo).to_hex().to_string();
    let locator = Locator { gallery: gallery.clone(), bucket: ENROLLED.to_owned(), key };
    let id = locator.id();
    let face = |face: Face| Face { id: FaceId::new(id, &image.model, &face.bbox), image: id, ..face };
    let faces: Vec<Face> = faces.into_iter().map(face).collect();
    let face_count = u32::try_from(faces.len()).unwrap_or(u32::MAX);
    let image = ImageRecord { id, etag: locator.key.clone(), locator, state: ImageState::Indexed, face_count, ..image };
    Commit { image, faces, content: None, version: ObjectVersion::default(), timings: Timings::default() }
}

/// The person to enrol, and how that person relates to others.
#[derive(Clone, Debug, PartialEq)]
pub struct Enrolment {
    /// Name of the person.
    pub name: String,
    /// Groups that have this name already, which are the same person.
    pub same: Vec<GroupId>,
    /// Faces of look-alikes with other names, which are other people.
    pub others: Vec<FaceId>,
}

/// Builds the correction that enrols these faces; `None` where there are none.
pub fn correction(faces: &[FaceId], Enrolment { name, same, others }: &Enrolment) -> Option<Correction> {
    let (name, same, others) = (name.clone(), same.clone(), others.clone());
    (!faces.is_empty()).then(|| Correction::Enrol { faces: faces.to_vec(), name, same, others })
}

/// Lists the faces of photos.
pub fn faces(photos: &[Commit]) -> Vec<FaceId> {
    photos.iter().flat_map(|photo| &photo.faces).map(|face| face.id).collect()
}
