//! Faces that the detector did not find, in boxes that somebody drew or another program wrote.
//!
//! A drawn face is stored like a detected one. That it is a face, and whose, is a fact as with any other face, so it
//! outlives the row: where a photo is looked at again, or by another model, and no detection is at the place of a face
//! that somebody spoke of, the face is found there anew.

use std::collections::HashMap;
use std::path::PathBuf;

use muster_actors::domain::face::{BBox, Face, FaceId};
use muster_actors::domain::face_place::FacePlace;
use muster_actors::domain::facts::Facts;
use muster_actors::domain::gallery::GalleryId;
use muster_actors::domain::image::{ImageId, ImageState, Locator};
use muster_actors::ports::engine::FoundFace;
use muster_gallery::view::ImageRow;
use muster_gallery::{ENROLLED, LIBRARY_GALLERY};
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};

use super::face_finder::FindFaceError;
use super::key::PathMap;
use super::{Library, LibraryError, pages, rows, tombstones, view, write};

/// A photo of the library that a face is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DrawnOn {
    /// The photo.
    pub id: ImageId,
    /// Where its file is.
    pub path: PathBuf,
    /// Width and height of the upright photo in pixels.
    pub size: (u32, u32),
    /// The model that looked at it.
    pub model: String,
}

/// A face that somebody spoke of, and that no row of the library is.
#[derive(Clone, Debug, PartialEq)]
pub struct MissingFace {
    /// The photo that it is in.
    pub photo: DrawnOn,
    /// Its box in pixels of the upright photo.
    pub bbox: BBox,
}

/// Why a face cannot be added to a photo.
#[derive(Clone, Debug, thiserror::Error)]
pub enum DrawnFaceError {
    /// The photo is not in the library any more.
    #[error("the photo is not in the library any more")]
    Gone,
    /// The photo was looked at with another model meanwhile.
    #[error("the photo was looked at with {of} meanwhile, not with {model}: try again")]
    OtherModel {
        /// The model of the photo's faces.
        of: String,
        /// The model that found the face.
        model: String,
    },
    /// Somebody forgot a face at this place.
    #[error("a face was forgotten at this place: `muster forget PHOTO --lift` lets it back in")]
    Forgotten,
    /// There is no face in the box.
    #[error(transparent)]
    Find(#[from] FindFaceError),
    /// The library cannot be read or written.
    #[error(transparent)]
    Library(#[from] LibraryError),
}

impl From<rusqlite::Error> for DrawnFaceError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Library(error.into())
    }
}

/// The photo with this id; `None` where there is none, or where it lies in no folder.
///
/// # Errors
/// The library cannot be read.
pub fn photo(db: &Connection, places: &PathMap, id: ImageId) -> Result<Option<DrawnOn>, LibraryError> {
    let row = pages::image(db, id)?.filter(|row| row.bucket != ENROLLED);
    Ok(row.and_then(|ImageRow { bucket, key, width, height, model, .. }| {
        Some(DrawnOn { id, path: places.path(&bucket, &key).ok()?, size: (width, height), model })
    }))
}

/// A photo from `id, bucket, key, width, height, model`.
fn drawn_on(row: &rusqlite::Row<'_>, places: &PathMap) -> rusqlite::Result<Option<DrawnOn>> {
    let (bucket, key): (String, String) = (row.get(1)?, row.get(2)?);
    let Ok(path) = places.path(&bucket, &key) else { return Ok(None) };
    let (id, size) = (ImageId(rows::id(row, 0)?), (row.get(3)?, row.get(4)?));
    Ok(Some(DrawnOn { id, path, size, model: row.get(5)? }))
}

/// Stores a face that was found in a drawn box of a photo. Returns the face at that place: the one that was there
/// already, or the new one.
///
/// # Errors
/// The photo is not in the library any more, another model looked at it, a face was forgotten at that place, or the
/// library cannot be written.
pub fn store(db: &mut Connection, photo: ImageId, model: &str, found: FoundFace) -> Result<FaceId, DrawnFaceError> {
    let whole = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let sql = "SELECT n, gallery, bucket, key, model FROM images WHERE id = ?1";
    let row = whole.query_row(sql, [photo.0], |row| {
        let key = (row.get::<_, String>(2)?, row.get::<_, String>(3)?);
        Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, key, row.get::<_, String>(4)?))
    });
    let Some((image, gallery, (bucket, key), of)) = row.optional()? else {
        return Err(DrawnFaceError::Gone);
    };
    if of != model {
        return Err(DrawnFaceError::OtherModel { of, model: model.to_owned() });
    }
    let there = boxes(&whole, photo)?.into_iter().find(|(_, bbox)| bbox.is_place_of(&found.bbox));
    if let Some((face, _)) = there {
        return Ok(face);
    }
    let locator = Locator { gallery: GalleryId(LIBRARY_GALLERY.to_owned()), bucket, key };
    if tombstones::of_image(&whole, &locator)?.iter().any(|gone| gone.is_place_of(&found.bbox)) {
        return Err(DrawnFaceError::Forgotten);
    }
    let FoundFace { bbox, landmarks, quality, embedding, thumbnail } = found;
    let id = FaceId::new(photo, model, &bbox);
    let face = Face { id, image: photo, bbox, landmarks, quality, embedding, thumbnail };
    write::check_figures(&face)?;
    write::insert(&whole, gallery, image, &face)?;
    whole.execute(
        "UPDATE images SET face_count = face_count + 1, state = ?2 WHERE n = ?1",
        params![image, rows::word(&ImageState::Indexed)?],
    )?;
    write::bump_added(&whole, gallery)?;
    whole.commit()?;
    Ok(id)
}

/// The faces of a photo with their boxes.
fn boxes(db: &Connection, photo: ImageId) -> Result<Vec<(FaceId, BBox)>, LibraryError> {
    let sql = "SELECT f.id, f.bbox FROM faces f JOIN images i ON i.n = f.image WHERE i.id = ?1 ORDER BY f.id";
    let mut select = db.prepare_cached(sql)?;
    let found = select.query_map([photo.0], |row| Ok((FaceId(rows::id(row, 0)?), rows::bbox(row, 1)?)))?;
    Ok(found.collect::<Result<_, _>>()?)
}

/// Lists the faces that `facts` say are faces, or are somebody's, and that `library` has no row for although their
/// photos are there, under whatever path.
///
/// # Errors
/// The library cannot be read.
pub fn missing(facts: &Facts, library: &Library) -> Result<Vec<MissingFace>, LibraryError> {
    let db = library.db();
    let mut is_there = db.prepare_cached("SELECT EXISTS (SELECT 1 FROM faces WHERE id = ?1)")?;
    let (mut by_content, mut by_picture): (HashMap<_, Vec<&FacePlace>>, HashMap<_, Vec<&FacePlace>>) =
        Default::default();
    for (face, place) in &facts.places {
        let is_stated = facts.person_of(*face).is_some() || facts.are_faces.get(face) == Some(&true);
        if !is_stated || is_there.query_row([face.0], |row| row.get::<_, bool>(0))? {
            continue;
        }
        place.content.into_iter().for_each(|content| by_content.entry(content).or_default().push(place));
        place.picture.into_iter().for_each(|picture| by_picture.entry(picture.0).or_default().push(place));
    }
    if by_content.is_empty() && by_picture.is_empty() {
        return Ok(Vec::new());
    }
    let sql = format!(
        "SELECT id, bucket, key, width, height, model, content, picture, taken_local_ms, taken_offset FROM images \
         WHERE gallery = {} AND bucket <> '{ENROLLED}' AND width > 0 AND height > 0 ORDER BY bucket, key",
        view::MINE
    );
    let mut select = db.prepare(&sql)?;
    let mut images = select.query([])?;
    let mut missing: Vec<MissingFace> = Vec::new();
    while let Some(row) = images.next()? {
        let (content, picture): (Option<[u8; 32]>, _) = (row.get(6)?, rows::picture(row, 7)?);
        let same_bytes = content.and_then(|content| by_content.get(&content)).into_iter().flatten();
        let same_picture = picture.and_then(|picture| by_picture.get(&picture.0)).into_iter().flatten();
        let known: Vec<&FacePlace> = same_bytes.chain(same_picture).copied().collect();
        if known.is_empty() {
            continue;
        }
        let Some(photo) = drawn_on(row, library.places())? else { continue };
        let (width, height) = photo.size;
        let of_photo = FacePlace { content, picture, taken: rows::taken(row, 8)?, width, height, ..Default::default() };
        let mut there: Vec<FacePlace> =
            boxes(db, photo.id)?.into_iter().map(|(_, bbox)| FacePlace { bbox, ..of_photo }).collect();
        for known in known {
            let here = FacePlace { bbox: known.scaled_to(width, height), ..of_photo };
            // A detection at the place is the face, and is known again by the grouping.
            if known.is_same(&here) && !there.iter().any(|other| other.is_same(&here)) {
                there.push(here);
                missing.push(MissingFace { photo: photo.clone(), bbox: here.bbox });
            }
        }
    }
    Ok(missing)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use muster_actors::domain::face::Quality;
    use muster_actors::domain::image::ImageRecord;
    use muster_actors::domain::timings::Timings;
    use muster_actors::domain::version::ObjectVersion;
    use muster_actors::people::{Author, Correction};
    use muster_actors::ports::faces::Commit;

    use super::*;
    use crate::correct::correct;
    use crate::facts;
    use crate::forget::{ForgetTarget, forget};

    const BOX: BBox = BBox { x: 40.0, y: 40.0, width: 30.0, height: 30.0 };

    fn locator(key: &str) -> Locator {
        Locator { gallery: GalleryId(LIBRARY_GALLERY.to_owned()), bucket: ".".to_owned(), key: key.to_owned() }
    }

    /// Looks at a photo as an index does, and finds nobody in it.
    fn look(library: &mut Library, key: &str, content: u8, model: &str) -> ImageId {
        let id = locator(key).id();
        let image = ImageRecord {
            id,
            locator: locator(key),
            etag: content.to_string(),
            bytes: 1,
            width: 100,
            height: 100,
            orientation: 1,
            taken: None,
            picture: None,
            state: ImageState::NoFaces,
            rejection: None,
            quality: None,
            face_count: 0,
            model: model.to_owned(),
        };
        let (content, version, timings) = (Some([content; 32]), ObjectVersion::default(), Timings::default());
        let commit = Commit { image, faces: Vec::new(), content, version, timings };
        write::commit(library.db_mut(), &[commit]).unwrap()[0].clone().unwrap();
        id
    }

    fn found(bbox: BBox) -> FoundFace {
        let (landmarks, quality) = ([[50.0; 2]; 5], Quality::default().with_face(0.1));
        FoundFace { bbox, landmarks, quality, embedding: vec![1.0, 0.0], thumbnail: vec![1] }
    }

    fn missing_boxes(library: &Library) -> Vec<(String, BBox)> {
        let missing = missing(&facts::of_library(library.db()).unwrap(), library).unwrap();
        let name = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().into_owned();
        // A box keeps its place in parts of its photo, and comes back with the rounding of floats.
        let whole = |BBox { x, y, width, height }: BBox| {
            let [x, y, width, height] = [x, y, width, height].map(f32::round);
            BBox { x, y, width, height }
        };
        missing.iter().map(|face| (name(&face.photo.path), whole(face.bbox))).collect()
    }

    fn say_face(library: &mut Library, face: FaceId) {
        let correction = Correction::Face { faces: BTreeSet::from([face]), is_face: true };
        correct(library.db_mut(), &correction, &Author { by: "me".to_owned(), at_ms: 1 }).unwrap();
    }

    #[test]
    fn a_face_that_somebody_spoke_of_is_missing_wherever_its_photo_is_and_no_row_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let mut library = Library::create(&folder.path().join(".muster")).unwrap();
        let photo = look(&mut library, "a.jpg", 1, "m@1");
        let face = store(library.db_mut(), photo, "m@1", found(BOX)).unwrap();
        assert_eq!(missing_boxes(&library), []);
        // Nobody has said yet that it is a face: another look at the photo may lose it.
        look(&mut library, "a.jpg", 1, "m@1");
        assert_eq!(missing_boxes(&library), []);
        store(library.db_mut(), photo, "m@1", found(BOX)).unwrap();
        say_face(&mut library, face);
        look(&mut library, "a.jpg", 1, "m@1");
        assert_eq!(missing_boxes(&library), [("a.jpg".to_owned(), BOX)]);
        // With other bytes it is another photo; the same bytes are the photo under any path.
        look(&mut library, "a.jpg", 2, "m@1");
        assert_eq!(missing_boxes(&library), []);
        let copy = look(&mut library, "b.jpg", 1, "m@1");
        assert_eq!(missing_boxes(&library), [("b.jpg".to_owned(), BOX)]);
        store(library.db_mut(), copy, "m@1", found(BOX)).unwrap();
        assert_eq!(missing_boxes(&library), []);
    }

    #[test]
    fn one_face_is_stored_at_a_place_and_none_where_one_was_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let mut library = Library::create(&folder.path().join(".muster")).unwrap();
        let photo = look(&mut library, "a.jpg", 1, "m@1");
        let face = store(library.db_mut(), photo, "m@1", found(BOX)).unwrap();
        let near = BBox { x: 42.0, ..BOX };
        assert_eq!(store(library.db_mut(), photo, "m@1", found(near)).unwrap(), face);
        let row = crate::pages::image(library.db(), photo).unwrap().unwrap();
        assert_eq!((row.face_count, row.state), (1, ImageState::Indexed));
        let other = store(library.db_mut(), photo, "m@2", found(BOX));
        assert!(matches!(other, Err(DrawnFaceError::OtherModel { .. })), "{other:?}");
        let nowhere = store(library.db_mut(), ImageId([9; 16]), "m@1", found(BOX));
        assert!(matches!(nowhere, Err(DrawnFaceError::Gone)), "{nowhere:?}");
        let broken = FoundFace { embedding: vec![f32::NAN], ..found(BBox { x: 0.0, ..BOX }) };
        assert!(store(library.db_mut(), photo, "m@1", broken).is_err());

        let author = Author { by: "me".to_owned(), at_ms: 1 };
        let faces = vec![face];
        let named = Correction::Enrol { faces, name: "Ada".to_owned(), same: Vec::new(), others: Vec::new() };
        correct(library.db_mut(), &named, &author).unwrap();
        let ada = crate::view::people(library.db()).unwrap()[0].id;
        forget(&mut library, &ForgetTarget::Group(ada), &author).unwrap();
        let back = store(library.db_mut(), photo, "m@1", found(near));
        assert!(matches!(back, Err(DrawnFaceError::Forgotten)), "{back:?}");
    }
}
