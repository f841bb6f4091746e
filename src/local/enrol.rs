//! Enrolment: faces that somebody says are one person, from photos that are not kept.

use std::collections::BTreeSet;

use muster_actors::face::{Face, FaceId};
use muster_actors::gallery::{GalleryId, Group, Verdict};
use muster_actors::image::{ImageRecord, ImageState, Locator};
use muster_actors::ports::faces::Commit;

use super::change::{self, ChangeError, Regroup};
use super::key::ENROLLED;
use super::{GALLERY, Library, groups, tombstones, write};

/// What is stored of a photo with one face: known by what its bytes are, so that the same photo is stored once.
pub fn record(photo: &[u8], found: Commit) -> Commit {
    let Commit { image, faces, content, timings } = found;
    let key = blake3::hash(photo).to_hex().to_string();
    let locator = Locator { gallery: GalleryId(GALLERY.to_owned()), bucket: ENROLLED.to_owned(), key };
    let id = locator.id();
    let face = |face: Face| Face { id: FaceId::of(id, &image.model, &face.bbox), image: id, ..face };
    let faces: Vec<Face> = faces.into_iter().map(face).collect();
    let face_count = u32::try_from(faces.len()).unwrap_or(u32::MAX);
    let image = ImageRecord { id, etag: locator.key.clone(), locator, state: ImageState::Indexed, face_count, ..image };
    Commit { image, faces, content, timings }
}

/// Who is enrolled, as it is said.
#[derive(Clone, Debug, PartialEq)]
pub struct Person {
    /// The name.
    pub name: String,
    /// A face of each group that has this name already: the same person.
    pub same: Vec<FaceId>,
    /// Faces of people with other names that look like this one: other people.
    pub others: Vec<FaceId>,
}

/// Stores photos of one person, and says so. Returns the group they came into.
pub fn enrol(
    library: &mut Library,
    photos: &[Commit],
    person: &Person,
    regroup: Regroup<'_>,
) -> Result<Option<Group>, ChangeError> {
    let faces: Vec<FaceId> = photos.iter().flat_map(|photo| &photo.faces).map(|face| face.id).collect();
    let Some((&first, rest)) = faces.split_first() else { return Ok(None) };
    for photo in photos {
        tombstones::lift_image(library.db(), &photo.image.locator)?;
    }
    for outcome in write::commit(library.db_mut(), photos)? {
        outcome?;
    }
    let apart = person.others.iter().map(|&b| Verdict::NotSame { a: first, b });
    let same = rest.iter().chain(&person.same).filter(|face| **face != first);
    let mut verdicts: Vec<Verdict> = apart.chain(same.map(|&b| Verdict::Same { a: first, b })).collect();
    verdicts.push(Verdict::Name { face: first, name: person.name.clone() });
    let now = groups::snapshot(library.db_mut(), &GalleryId(GALLERY.to_owned()))?;
    let after = change::note(library, now, &verdicts, &BTreeSet::new(), regroup)?;
    Ok(after.partition.groups.into_iter().find(|group| group.faces.contains(&first)))
}
