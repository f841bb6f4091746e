//! Tombstones of data that people asked to forget, so that it does not come back by itself.
//!
//! A forgotten path (a photo or a folder) is passed over by `index`, with all that is or comes under it.
//! A forgotten face is a place in a photo: whatever is found there again is not stored. Neither holds
//! anything of a face; a person whose group was forgotten is found again in photos that come later,
//! because nothing is kept by which to know them. `forget --lift PATH` takes both back.

use std::path::{Path, PathBuf};

use muster_actors::domain::face::BBox;
use muster_actors::domain::image::Locator;
use rusqlite::{Connection, params};

use super::key::PathMap;
use super::{LibraryError, rows};

/// Boxes of forgotten faces in one photo.
pub(super) fn of_image(db: &Connection, locator: &Locator) -> Result<Vec<BBox>, LibraryError> {
    let mut select = db.prepare_cached("SELECT bbox FROM forgotten_faces WHERE image = ?1 ORDER BY n")?;
    let boxes = select.query_map([locator.id().0], |row| rows::bbox(row, 0))?;
    Ok(boxes.collect::<Result<_, _>>()?)
}

/// Whether a photo, or a folder it is in, was forgotten.
pub(super) fn covers(db: &Connection, locator: &Locator) -> Result<bool, LibraryError> {
    let mut exists =
        db.prepare_cached("SELECT EXISTS (SELECT 1 FROM forgotten_paths WHERE bucket = ?1 AND key = ?2)")?;
    // A key that is percent-encoded shares no text with its folders' keys: go over the paths instead.
    let Ok(mut path) = super::key::decode(&locator.key) else { return Ok(false) };
    loop {
        let key = super::key::encode(&path);
        if exists.query_row(params![locator.bucket, key], |row| row.get(0))? {
            return Ok(true);
        }
        if !path.pop() {
            return Ok(false);
        }
    }
}

/// All forgotten paths.
pub fn paths(db: &Connection, places: &PathMap) -> Result<Vec<PathBuf>, LibraryError> {
    let mut select = db.prepare("SELECT bucket, key FROM forgotten_paths ORDER BY bucket, key")?;
    let names = select.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?;
    let mut paths = Vec::new();
    for name in names {
        let (bucket, key) = name?;
        paths.extend(places.path(&bucket, &key));
    }
    Ok(paths)
}

/// Takes back what was forgotten at or under `path`; returns how many paths and faces. Photos whose
/// faces were forgotten lose their etag, so that the next `index` looks at them again.
pub fn lift(db: &mut Connection, places: &PathMap, path: &Path) -> Result<usize, LibraryError> {
    let whole = db.transaction()?;
    let mut lifted = 0;
    for forgotten in paths(&whole, places)?.into_iter().filter(|p| p.starts_with(path)) {
        let locator = places.locate(&forgotten);
        lifted += whole.execute(
            "DELETE FROM forgotten_paths WHERE bucket = ?1 AND key = ?2",
            params![locator.bucket, locator.key],
        )?;
    }
    let faces: Vec<(i64, String, String)> = whole
        .prepare("SELECT n, bucket, key FROM forgotten_faces")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .collect::<Result<_, _>>()?;
    for (n, bucket, key) in faces {
        if places.path(&bucket, &key).is_ok_and(|photo| photo.starts_with(path)) {
            whole.execute("UPDATE images SET etag = '' WHERE bucket = ?1 AND key = ?2", params![bucket, key])?;
            lifted += whole.execute("DELETE FROM forgotten_faces WHERE n = ?1", [n])?;
        }
    }
    whole.commit()?;
    Ok(lifted)
}

/// Takes back what was forgotten of one image: somebody brings it again.
pub fn lift_image(db: &Connection, locator: &Locator) -> Result<(), LibraryError> {
    db.prepare_cached("DELETE FROM forgotten_faces WHERE image = ?1")?.execute([locator.id().0])?;
    Ok(())
}
