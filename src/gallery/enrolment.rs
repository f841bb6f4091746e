//! Enrolment of a person by faces from photos that are not kept. Pure functions.

use std::collections::BTreeSet;

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

/// Whose face one is that somebody added to a photo.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FaceOwner {
    /// It was not said.
    Unsaid,
    /// A person that there is.
    Person(GroupId),
    /// A new person of this name.
    New(String),
}

/// Builds the correction that says whose face an added one is. `home` is the group that the face is in already, where a
/// face was at this place before.
pub fn added_face(face: FaceId, home: Option<GroupId>, owner: FaceOwner) -> Correction {
    let faces = BTreeSet::from([face]);
    match owner {
        FaceOwner::Unsaid => Correction::Face { faces, is_face: true },
        FaceOwner::Person(group) if home == Some(group) => Correction::Confirm { group, faces },
        FaceOwner::Person(group) => Correction::Move { group, faces },
        FaceOwner::New(name) => Correction::Enrol { faces: vec![face], name, same: Vec::new(), others: Vec::new() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_added_face_is_moved_to_its_person_unless_it_is_there() {
        let (face, ada, ben) = (FaceId([1; 16]), GroupId([2; 16]), GroupId([3; 16]));
        let faces = BTreeSet::from([face]);
        for (home, owner, expected) in [
            (None, FaceOwner::Unsaid, Correction::Face { faces: faces.clone(), is_face: true }),
            (None, FaceOwner::Person(ada), Correction::Move { group: ada, faces: faces.clone() }),
            (Some(ben), FaceOwner::Person(ada), Correction::Move { group: ada, faces: faces.clone() }),
            (Some(ada), FaceOwner::Person(ada), Correction::Confirm { group: ada, faces }),
        ] {
            assert_eq!(added_face(face, home, owner), expected);
        }
        let new = added_face(face, Some(ben), FaceOwner::New("Cleo".to_owned()));
        assert!(matches!(new, Correction::Enrol { name, same, .. } if name == "Cleo" && same.is_empty()));
    }
}
