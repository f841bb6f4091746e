//! Enrolment: faces that somebody says are one person, from photos that are not kept. Pure.

use muster_actors::domain::face::{Face, FaceId};
use muster_actors::domain::gallery::{GalleryId, Verdict};
use muster_actors::domain::image::{ImageRecord, ImageState, Locator};
use muster_actors::domain::timings::Timings;
use muster_actors::ports::faces::Commit;

use crate::ENROLLED;

/// What is stored of a photo with one face: known by what its bytes are, so that the same photo is stored once.
pub fn record(gallery: &GalleryId, photo: &[u8], image: ImageRecord, faces: Vec<Face>) -> Commit {
    let key = blake3::hash(photo).to_hex().to_string();
    let locator = Locator { gallery: gallery.clone(), bucket: ENROLLED.to_owned(), key };
    let id = locator.id();
    let face = |face: Face| Face { id: FaceId::new(id, &image.model, &face.bbox), image: id, ..face };
    let faces: Vec<Face> = faces.into_iter().map(face).collect();
    let face_count = u32::try_from(faces.len()).unwrap_or(u32::MAX);
    let image = ImageRecord { id, etag: locator.key.clone(), locator, state: ImageState::Indexed, face_count, ..image };
    Commit { image, faces, content: None, timings: Timings::default() }
}

/// Who is enrolled, as it is said.
#[derive(Clone, Debug, PartialEq)]
pub struct Newcomer {
    /// The name.
    pub name: String,
    /// A face of each group that has this name already: the same person.
    pub same: Vec<FaceId>,
    /// Faces of people with other names that look like this one: other people.
    pub others: Vec<FaceId>,
}

/// That these faces are this person; none where there is no face.
pub fn verdicts(faces: &[FaceId], Newcomer { name, same, others }: &Newcomer) -> Vec<Verdict> {
    let Some((&first, rest)) = faces.split_first() else { return Vec::new() };
    let apart = others.iter().map(|&b| Verdict::NotSame { a: first, b });
    let same = rest.iter().chain(same).filter(|face| **face != first);
    let mut verdicts: Vec<Verdict> = apart.chain(same.map(|&b| Verdict::Same { a: first, b })).collect();
    verdicts.push(Verdict::Name { face: first, name: name.clone() });
    verdicts
}

/// The faces of photos.
pub fn faces(photos: &[Commit]) -> Vec<FaceId> {
    photos.iter().flat_map(|photo| &photo.faces).map(|face| face.id).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newcomer_is_one_person_with_those_of_that_name_and_nobody_else() {
        let f = |n: u8| FaceId([n; 16]);
        let newcomer = Newcomer { name: "Ada".into(), same: vec![f(3), f(1)], others: vec![f(9)] };
        let expected = [
            Verdict::NotSame { a: f(1), b: f(9) },
            Verdict::Same { a: f(1), b: f(2) },
            Verdict::Same { a: f(1), b: f(3) },
            Verdict::Name { face: f(1), name: "Ada".into() },
        ];
        assert_eq!(verdicts(&[f(1), f(2)], &newcomer), expected);
        assert_eq!(verdicts(&[], &newcomer), []);
    }
}
