//! Reads pages of long lists, each from where the one before ended.

use std::collections::{BTreeSet, HashMap};

use muster_actors::domain::face::FaceId;
use muster_actors::domain::gallery::GroupId;
use muster_actors::domain::image::{ImageId, ImageState};
use muster_gallery::copies::Copies;
use muster_gallery::pages::{FaceFilter, PageCursor};
use muster_gallery::view::{FaceRow, ImageRow};
use rusqlite::{Connection, OptionalExtension, params};

use super::LibraryError;
use super::rows::{self, signed};
use super::view::{MINE, face_row, face_sql, image_row, image_sql, is_face};

fn filter(which: FaceFilter) -> (String, Option<[u8; 16]>) {
    match which {
        FaceFilter::All => (format!("{} OR ?1", is_face()), None),
        FaceFilter::Group(id) => ("m.grp = ?1".to_owned(), Some(id.0)),
        FaceFilter::Grouped => ("m.grp IS NOT NULL OR ?1".to_owned(), None),
        FaceFilter::Ungrouped => (format!("m.grp IS NULL AND {} OR ?1", is_face()), None),
        FaceFilter::NonFaces => (format!("NOT {} OR ?1", is_face()), None),
        FaceFilter::Image(id) => ("i.id = ?1".to_owned(), Some(id.0)),
    }
}

/// At most `limit` faces behind a place.
pub fn faces(
    db: &Connection,
    which: FaceFilter,
    after: Option<PageCursor>,
    limit: usize,
) -> Result<Vec<FaceRow>, LibraryError> {
    let (filter, id) = filter(which);
    let behind = format!("({filter}) AND (f.overall < ?2 OR (f.overall = ?2 AND f.id > ?3))");
    let sql = format!("{} LIMIT ?4", face_sql(&behind, "f.overall DESC, f.id"));
    // Nothing is better than infinitely good.
    let (overall, last) = after.map_or((f64::INFINITY, [0; 16]), |(overall, last)| (f64::from(overall), last.0));
    let mut select = db.prepare_cached(&sql)?;
    let rows = select.query_map(params![id, overall, last, signed(limit as u64)], face_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// How many faces there are.
pub fn count_faces(db: &Connection, which: FaceFilter) -> Result<u64, LibraryError> {
    let (filter, id) = filter(which);
    let sql = format!(
        "SELECT count(*) FROM faces f JOIN images i ON i.n = f.image \
         LEFT JOIN members m ON m.gallery = f.gallery AND m.face = f.id WHERE f.gallery = {MINE} AND ({filter})"
    );
    Ok(db.prepare_cached(&sql)?.query_row(params![id], |row| rows::unsigned(row, 0))?)
}

/// One face.
pub fn face(db: &Connection, id: FaceId) -> Result<Option<FaceRow>, LibraryError> {
    let mut select = db.prepare_cached(&face_sql("f.id = ?1", "f.id"))?;
    Ok(select.query_row(params![id.0], face_row).optional()?)
}

/// At most `limit` images behind a bucket and key, by them.
pub fn images(
    db: &Connection,
    state: Option<ImageState>,
    after: Option<(String, String)>,
    limit: usize,
) -> Result<Vec<ImageRow>, LibraryError> {
    let sql = format!(
        "{} AND (state = ?1 OR ?1 IS NULL) AND (bucket, key) > (?2, ?3) ORDER BY bucket, key LIMIT ?4",
        image_sql()
    );
    let state = state.map(|state| rows::word(&state)).transpose()?;
    let (bucket, key) = after.unwrap_or_default();
    let mut select = db.prepare_cached(&sql)?;
    let rows = select.query_map(params![state, bucket, key, signed(limit as u64)], image_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// How many images there are.
pub fn count_images(db: &Connection, state: Option<ImageState>) -> Result<u64, LibraryError> {
    let state = state.map(|state| rows::word(&state)).transpose()?;
    let sql = format!("SELECT count(*) FROM images WHERE gallery = {MINE} AND (state = ?1 OR ?1 IS NULL)");
    Ok(db.prepare_cached(&sql)?.query_row(params![state], |row| rows::unsigned(row, 0))?)
}

/// One image.
pub fn image(db: &Connection, id: ImageId) -> Result<Option<ImageRow>, LibraryError> {
    let mut select = db.prepare_cached(&format!("{} AND id = ?1", image_sql()))?;
    Ok(select.query_row(params![id.0], image_row).optional()?)
}

/// Says of listed images what they are copies of.
pub fn note_copies(db: &Connection, copies: &Copies, rows: &mut [ImageRow]) -> Result<(), LibraryError> {
    let mut path_of = HashMap::new();
    for original in rows.iter().filter_map(|row| copies.original(row.id)).collect::<BTreeSet<_>>() {
        path_of.extend(image(db, original)?.map(|row| (row.id, row.path)));
    }
    copies.note(rows, &path_of);
    Ok(())
}

/// A number that is another one after a commit of any other connection.
pub fn data_version(db: &Connection) -> Result<i64, LibraryError> {
    Ok(db.pragma_query_value(None, "data_version", |row| row.get(0))?)
}

/// The groups that have a face in a photo whose key holds this text, whatever its case.
pub fn groups_in(db: &Connection, text: &str) -> Result<BTreeSet<GroupId>, LibraryError> {
    let mut select = db.prepare_cached(&format!(
        "SELECT DISTINCT m.grp FROM images i JOIN faces f ON f.image = i.n \
         JOIN members m ON m.gallery = f.gallery AND m.face = f.id \
         WHERE i.gallery = {MINE} AND instr(lower(i.key), lower(?1)) > 0"
    ))?;
    Ok(select.query_map([text], |row| Ok(GroupId(rows::id(row, 0)?)))?.collect::<Result<_, _>>()?)
}

/// Where an id that went into another leads; itself where it is a group.
pub fn group(db: &Connection, id: GroupId) -> Result<Option<GroupId>, LibraryError> {
    let mut select = db.prepare_cached(&format!(
        "SELECT id FROM groups WHERE gallery = {MINE} AND id = ?1 \
         UNION ALL SELECT target FROM redirects WHERE gallery = {MINE} AND source = ?1"
    ))?;
    Ok(select.query_row(params![id.0], |row| Ok(GroupId(rows::id(row, 0)?))).optional()?)
}
