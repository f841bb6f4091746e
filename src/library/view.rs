//! Reads the rows that commands, exports and reports show.

use std::collections::HashMap;

use muster_actors::domain::face::{FaceId, LEAST_FACE};
use muster_actors::domain::gallery::{GalleryId, GroupId};
use muster_actors::domain::image::{ImageId, ImageState, Locator};
use muster_actors::domain::person::Person as Record;
use muster_gallery::LIBRARY_GALLERY;
use muster_gallery::copies::{Copies, HashedPhoto};
use muster_gallery::view::{FaceRow, ImageRow, Person, Totals};
use rusqlite::{Connection, Row, params};
use serde::Serialize;

use super::{LibraryError, facts, key, rows};

/// A photo or folder that could not be used, with the reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RejectedPhoto {
    /// As [`key::shown`].
    pub path: String,
    /// `TRUNCATED`, …
    pub reason: String,
    /// One sentence for a person.
    pub detail: String,
}

pub(super) const MINE: &str = "(SELECT n FROM galleries WHERE name = 'local')";

/// Whether the row of `faces f` is a face: by the word of a person, else by its probability, as
/// [`muster_actors::grouping::non_faces`] has it. The words are read once a statement.
pub(super) fn is_face() -> String {
    let said =
        |value| format!("(SELECT a FROM facts WHERE gallery = {MINE} AND kind = 'is_face' AND value = '{value}')");
    format!("(f.id IN {} OR f.face >= {LEAST_FACE} AND f.id NOT IN {})", said("true"), said("false"))
}

/// Lists all groups, the largest first, then by id.
pub fn people(db: &Connection) -> Result<Vec<Person>, LibraryError> {
    debug_assert!(MINE.contains(LIBRARY_GALLERY));
    // Where the saved cover is gone, the best face that is left.
    let sql = format!(
        "WITH there AS (SELECT m.grp, f.id, f.image, f.overall FROM members m JOIN faces f ON f.id = m.face \
         WHERE m.gallery = {MINE}), \
         counts AS (SELECT grp, count(*) AS faces, count(DISTINCT image) AS photos FROM there GROUP BY grp) \
         SELECT g.id, g.name, c.faces, c.photos, t.id, i.bucket, i.key FROM groups g JOIN counts c ON c.grp = g.id \
         JOIN there t ON t.grp = g.id AND t.id = coalesce( \
           (SELECT s.id FROM there s WHERE s.grp = g.id AND s.id = g.cover), \
           (SELECT s.id FROM there s WHERE s.grp = g.id ORDER BY s.overall DESC, s.id LIMIT 1)) \
         JOIN images i ON i.n = t.image WHERE g.gallery = {MINE} ORDER BY c.faces DESC, g.id"
    );
    let records: HashMap<GroupId, Record> = facts::persons(db)?.into_iter().collect();
    let mut select = db.prepare(&sql)?;
    let rows = select.query_map([], |row| {
        let id = GroupId(rows::id(row, 0)?);
        let record = records.get(&id);
        Ok(Person {
            id,
            is_person: record.is_some(),
            is_hidden: record.is_some_and(|record| record.is_hidden),
            born: record.and_then(|record| record.born),
            notes: record.and_then(|record| record.notes.clone()),
            name: row.get(1)?,
            faces: rows::unsigned(row, 2)?,
            photos: rows::unsigned(row, 3)?,
            cover: FaceId(rows::id(row, 4)?),
            cover_path: key::shown(&row.get::<_, String>(5)?, &row.get::<_, String>(6)?),
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// A selection of faces.
#[derive(Clone, Copy, Debug)]
pub enum FaceSelection {
    /// All detections, by path, then by descending score.
    All,
    /// Faces of a group, the best first.
    Group(GroupId),
    /// Faces in no group, the best first.
    Ungrouped,
    /// Detections that are not faces, the likeliest faces first.
    NonFaces,
    /// One face.
    One(FaceId),
}

/// Passes faces to a function one by one.
pub fn faces(
    db: &Connection,
    which: FaceSelection,
    mut each: impl FnMut(FaceRow) -> Result<(), LibraryError>,
) -> Result<(), LibraryError> {
    let (filter, order, id) = match which {
        FaceSelection::All => ("1 OR ?1".to_owned(), "i.bucket, i.key, f.score DESC, f.id", None),
        FaceSelection::Group(id) => ("m.grp = ?1".to_owned(), "f.overall DESC, f.id", Some(id.0)),
        FaceSelection::Ungrouped => (format!("m.grp IS NULL AND {} OR ?1", is_face()), "f.overall DESC, f.id", None),
        FaceSelection::NonFaces => (format!("NOT {} OR ?1", is_face()), "f.face DESC, f.overall DESC, f.id", None),
        FaceSelection::One(id) => ("f.id = ?1".to_owned(), "f.id", Some(id.0)),
    };
    let mut select = db.prepare_cached(&face_sql(&filter, order))?;
    let mut found = select.query(params![id])?;
    while let Some(row) = found.next()? {
        each(face_row(row)?)?;
    }
    Ok(())
}

pub(super) fn face_sql(filter: &str, order: &str) -> String {
    format!(
        "SELECT f.n, f.id, i.bucket, i.key, f.bbox, f.landmarks, m.grp, g.name, {}, \
         EXISTS (SELECT 1 FROM facts c WHERE c.gallery = f.gallery AND c.kind = 'confirmed' AND c.a = f.id AND c.b = m.grp), \
         {} FROM faces f \
         JOIN images i ON i.n = f.image LEFT JOIN members m ON m.gallery = f.gallery AND m.face = f.id \
         LEFT JOIN groups g ON g.gallery = m.gallery AND g.id = m.grp \
         WHERE f.gallery = {MINE} AND ({filter}) ORDER BY {order}",
        is_face(),
        rows::QUALITY
    )
}

pub(super) fn face_row(row: &Row<'_>) -> rusqlite::Result<FaceRow> {
    let (bucket, key): (String, String) = (row.get(2)?, row.get(3)?);
    let photo = Locator { gallery: GalleryId(LIBRARY_GALLERY.to_owned()), bucket, key };
    let (image, Locator { bucket, key, .. }) = (photo.id(), photo);
    Ok(FaceRow {
        image,
        n: row.get(0)?,
        id: FaceId(rows::id(row, 1)?),
        path: key::shown(&bucket, &key),
        bucket,
        key,
        bbox: rows::bbox(row, 4)?,
        landmarks: rows::landmarks(row, 5)?,
        group: rows::maybe_id(row, 6)?.map(GroupId),
        name: row.get(7)?,
        is_face: row.get(8)?,
        is_confirmed: row.get(9)?,
        quality: rows::quality(row, 10)?,
    })
}

/// Reads a face's square JPEG.
pub fn thumbnail(db: &Connection, face: i64) -> Result<Vec<u8>, LibraryError> {
    let mut select = db.prepare_cached("SELECT jpeg FROM thumbnails WHERE face = ?1")?;
    Ok(select.query_row([face], |row| row.get(0))?)
}

/// Reads a face's embedding.
pub fn embedding(db: &Connection, face: i64) -> Result<Vec<f32>, LibraryError> {
    let mut select = db.prepare_cached("SELECT embedding FROM faces WHERE n = ?1")?;
    Ok(select.query_row([face], |row| rows::floats(row, 0))?)
}

/// Passes images to a function one by one, by path.
pub fn images(db: &Connection, mut each: impl FnMut(ImageRow) -> Result<(), LibraryError>) -> Result<(), LibraryError> {
    let mut select = db.prepare(&format!("{} ORDER BY bucket, key", image_sql()))?;
    let mut found = select.query([])?;
    while let Some(row) = found.next()? {
        each(image_row(row)?)?;
    }
    Ok(())
}

/// Finds the copies among all images.
pub fn copies(db: &Connection) -> Result<Copies, LibraryError> {
    let mut select = db.prepare_cached(&format!("{} AND picture IS NOT NULL ORDER BY bucket, key", image_sql()))?;
    let mut photos = Vec::new();
    for image in select.query_map([], image_row)? {
        photos.extend(HashedPhoto::of(&image?));
    }
    Ok(Copies::find(&photos))
}

pub(super) fn image_sql() -> String {
    format!(
        "SELECT face_count, id, bucket, bytes, width, height, orientation, state, reason, detail, quality, model, \
         key, taken_local_ms, taken_offset, picture FROM images WHERE gallery = {MINE}"
    )
}

pub(super) fn image_row(row: &Row<'_>) -> rusqlite::Result<ImageRow> {
    let (bucket, key): (String, String) = (row.get(2)?, row.get(12)?);
    Ok(ImageRow {
        face_count: rows::unsigned(row, 0)?,
        id: ImageId(rows::id(row, 1)?),
        path: key::shown(&bucket, &key),
        bucket,
        key,
        bytes: rows::unsigned(row, 3)?,
        width: row.get(4)?,
        height: row.get(5)?,
        orientation: row.get(6)?,
        capture: rows::capture(row, 2, 12)?,
        taken_in_file: rows::taken(row, 13)?,
        state: rows::state(row, 7)?,
        reason: rows::reject_reason(row, 8)?,
        detail: row.get(9)?,
        quality: row.get(10)?,
        model: row.get(11)?,
        copy_of: None,
    })
}

/// Lists rejected images and unreadable folders, by path.
pub fn rejected(db: &Connection) -> Result<Vec<RejectedPhoto>, LibraryError> {
    let mut select = db.prepare(&format!(
        "SELECT bucket, key, reason, detail FROM images WHERE gallery = {MINE} AND state = 'rejected' \
         UNION ALL SELECT bucket, key, reason, detail FROM problems ORDER BY 1, 2, 3"
    ))?;
    let rows = select.query_map([], |row| {
        Ok(RejectedPhoto {
            path: key::shown(&row.get::<_, String>(0)?, &row.get::<_, String>(1)?),
            reason: row.get::<_, Option<String>>(2)?.unwrap_or_default(),
            detail: row.get::<_, Option<String>>(3)?.unwrap_or_default(),
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Lists unreadable folders, by path.
pub fn problems(db: &Connection) -> Result<Vec<RejectedPhoto>, LibraryError> {
    let mut select = db.prepare("SELECT bucket, key, reason, detail FROM problems ORDER BY 1, 2")?;
    let rows = select.query_map([], |row| {
        let path = key::shown(&row.get::<_, String>(0)?, &row.get::<_, String>(1)?);
        Ok(RejectedPhoto { path, reason: row.get(2)?, detail: row.get(3)? })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Tells whether no photo is stored.
pub(super) fn is_empty(db: &Connection) -> Result<bool, LibraryError> {
    Ok(db.query_row("SELECT NOT EXISTS (SELECT 1 FROM images)", [], |row| row.get(0))?)
}

/// Counts everything in the library.
pub fn totals(db: &Connection) -> Result<Totals, LibraryError> {
    let mut totals = Totals::default();
    let mut select =
        db.prepare(&format!("SELECT state, count(*) FROM images WHERE gallery = {MINE} GROUP BY state"))?;
    for count in select.query_map([], |row| Ok((rows::state(row, 0)?, rows::unsigned(row, 1)?)))? {
        let (state, count) = count?;
        totals.images += count;
        match state {
            ImageState::Indexed => totals.indexed = count,
            ImageState::NoFaces => totals.no_faces = count,
            ImageState::LowQuality => totals.low_quality = count,
            ImageState::Rejected => totals.rejected = count,
        }
    }
    let sql = format!(
        "SELECT coalesce(sum(is_face), 0), coalesce(sum(is_face AND grp IS NULL), 0), count(DISTINCT grp), count(*) \
         FROM (SELECT {} AS is_face, m.grp AS grp FROM faces f \
         LEFT JOIN members m ON m.gallery = f.gallery AND m.face = f.id WHERE f.gallery = {MINE})",
        is_face()
    );
    let detections;
    (totals.faces, totals.ungrouped, totals.groups, detections) = db.query_row(&sql, [], |row| {
        Ok((rows::unsigned(row, 0)?, rows::unsigned(row, 1)?, rows::unsigned(row, 2)?, rows::unsigned(row, 3)?))
    })?;
    totals.non_faces = detections.saturating_sub(totals.faces);
    Ok(totals)
}

/// Ids that begin with these hexadecimal digits: of groups (with those that a merge redirects, as where
/// they lead), ascending.
pub fn groups_like(db: &Connection, prefix: &str) -> Result<Vec<GroupId>, LibraryError> {
    let mut select = db.prepare(&format!(
        "SELECT DISTINCT id FROM (SELECT id, id AS said FROM groups WHERE gallery = {MINE} \
         UNION SELECT target, source FROM redirects WHERE gallery = {MINE}) \
         WHERE hex(said) LIKE upper(?1) || '%' ORDER BY id LIMIT 9"
    ))?;
    Ok(select.query_map([prefix], |row| Ok(GroupId(rows::id(row, 0)?)))?.collect::<Result<_, _>>()?)
}

/// Finds ids of faces that begin with these hexadecimal digits, ascending.
pub fn faces_like(db: &Connection, prefix: &str) -> Result<Vec<FaceId>, LibraryError> {
    let mut select = db.prepare(&format!(
        "SELECT id FROM faces WHERE gallery = {MINE} AND hex(id) LIKE upper(?1) || '%' ORDER BY id LIMIT 9"
    ))?;
    Ok(select.query_map([prefix], |row| Ok(FaceId(rows::id(row, 0)?)))?.collect::<Result<_, _>>()?)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use muster_actors::domain::face::{BBox, Face, Quality};
    use muster_actors::domain::image::ImageRecord;
    use muster_actors::domain::timings::Timings;
    use muster_actors::domain::version::ObjectVersion;
    use muster_actors::grouping::non_faces::non_faces;
    use muster_actors::ports::faces::Commit;
    use muster_gallery::pages::FaceFilter;

    use super::*;
    use crate::{correct, groups, pages, schema, write};
    use muster_actors::people::{Author, Correction};

    /// A photo with a detection for each probability of being a face.
    fn photo(probabilities: &[f32]) -> Commit {
        let gallery = GalleryId(LIBRARY_GALLERY.to_owned());
        let locator = Locator { gallery, bucket: ".".to_owned(), key: "a.jpg".to_owned() };
        let id = locator.id();
        let face = |(n, probability): (u16, &f32)| {
            let bbox = BBox { x: 50.0 * f32::from(n), y: 0.0, width: 40.0, height: 40.0 };
            let quality = Quality { overall: 0.9, score: 0.7, ..Quality::default() }.with_face(*probability);
            let (landmarks, embedding) = ([[1.0; 2]; 5], vec![0.6, 0.8]);
            Face {
                id: FaceId::new(id, "m@1", &bbox),
                image: id,
                bbox,
                landmarks,
                quality,
                embedding,
                thumbnail: vec![1],
            }
        };
        let image = ImageRecord {
            id,
            locator,
            etag: "e".to_owned(),
            bytes: 1,
            width: 1,
            height: 1,
            orientation: 1,
            taken: None,
            picture: None,
            state: ImageState::Indexed,
            rejection: None,
            quality: None,
            face_count: u32::try_from(probabilities.len()).unwrap(),
            model: "m@1".to_owned(),
        };
        let faces = (0..).zip(probabilities).map(face).collect();
        Commit { image, faces, content: None, version: ObjectVersion::default(), timings: Timings::default() }
    }

    #[test]
    fn a_database_sets_aside_what_the_pure_function_does() {
        let photo = photo(&[1.0, 0.5, 0.499, 0.0, 0.9]);
        let f: Vec<FaceId> = photo.faces.iter().map(|face| face.id).collect();
        // Detections that are said to be faces (`true`) or none, in this order.
        for said in [
            vec![],
            vec![(2, true)],
            vec![(2, true), (2, false)],
            vec![(0, false), (4, false), (4, true)],
            vec![(0, false), (3, true), (1, false), (2, true)],
        ] {
            let mut db = Connection::open_in_memory().unwrap();
            let gallery = GalleryId(LIBRARY_GALLERY.to_owned());
            schema::migrate(&mut db).unwrap();
            write::commit(&mut db, std::slice::from_ref(&photo)).unwrap()[0].clone().unwrap();
            for &(n, is_face) in &said {
                let correction = Correction::Face { faces: [f[n]].into(), is_face };
                correct::correct(&mut db, &correction, &Author::default()).unwrap();
            }
            let snapshot = groups::snapshot(&mut db, &gallery).unwrap();
            assert_eq!(snapshot.doubted, [f[2], f[3]].into(), "what was read is what was written");
            let expected = non_faces(&snapshot.doubted, &snapshot.facts.are_faces);
            let listed = |which| {
                let mut ids = BTreeSet::new();
                faces(&db, which, |face| {
                    ids.insert(face.id);
                    Ok(())
                })
                .unwrap();
                ids
            };
            assert_eq!(listed(FaceSelection::NonFaces), expected, "{said:?}");
            faces(&db, FaceSelection::All, |face| {
                assert_eq!(face.is_face, !expected.contains(&face.id), "{said:?}");
                Ok(())
            })
            .unwrap();
            let all: BTreeSet<FaceId> = f.iter().copied().collect();
            assert_eq!(listed(FaceSelection::Ungrouped), &all - &expected, "{said:?}");
            assert_eq!(listed(FaceSelection::All), all, "an export has everything");
            let totals = totals(&db).unwrap();
            let counts = (expected.len() as u64, (all.len() - expected.len()) as u64);
            assert_eq!((totals.non_faces, totals.faces, totals.ungrouped), (counts.0, counts.1, counts.1), "{said:?}");
            for (which, count) in [
                (FaceFilter::NonFaces, counts.0),
                (FaceFilter::All, counts.1),
                (FaceFilter::Ungrouped, counts.1),
                (FaceFilter::Grouped, 0),
            ] {
                assert_eq!(pages::count_faces(&db, which).unwrap(), count, "{which:?} {said:?}");
                assert_eq!(pages::faces(&db, which, None, 10).unwrap().len() as u64, count, "{which:?} {said:?}");
            }
        }
    }
}
