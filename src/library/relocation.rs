//! Roots that moved, and roots that are given up.

use std::path::{Path, PathBuf};

use muster_actors::domain::image::{ImageId, Locator};
use muster_gallery::LIBRARY_GALLERY;
use rusqlite::{Connection, params};
use serde::Serialize;

use super::repoint::{Move, repoint};
use super::stamp::stamp;
use super::{Library, LibraryError, key, moves, roots, rows, runner, tombstones, write};

/// Paths that are told of those that were not found.
const EXAMPLES: usize = 10;

/// What became of the photos below a root that moved.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Relocation {
    /// Photos that are stored at their new places now.
    pub matched: u64,
    /// Photos that are not there with the same size, and were left as they were.
    pub unmatched: u64,
    /// Some of those, as [`key::shown`].
    pub examples: Vec<String>,
}

/// A stored photo, as far as its place goes.
struct Stored {
    id: ImageId,
    path: PathBuf,
    place: Locator,
    etag: String,
    bytes: u64,
}

/// Stores what lies below `old` as lying below `new`, where a file of the same size is at the same path
/// there, and of the same content where that is known. Both are absolute and without links; `old` need
/// not exist.
pub fn relocate(library: &mut Library, old: &Path, new: &Path) -> Result<Relocation, LibraryError> {
    let places = library.places().clone();
    let mut relocation = Relocation::default();
    let (mut steps, mut stamps) = (Vec::new(), Vec::new());
    for photo in below(library, old)? {
        let target = moved(&photo.path, old, new);
        let Some(etag) = same(library.db(), &photo, &target) else {
            relocation.unmatched += 1;
            if relocation.examples.len() < EXAMPLES {
                relocation.examples.push(key::shown(&photo.place.bucket, &photo.place.key));
            }
            continue;
        };
        relocation.matched += 1;
        let to = places.locate(&target);
        stamps.extend((etag != photo.etag).then(|| (to.id(), etag)));
        steps.push(Move { from: photo.id, to });
    }
    if steps.is_empty() {
        return Ok(relocation);
    }
    // What was forgotten stays forgotten where it is now.
    let marks: Vec<PathBuf> = tombstones::paths(library.db(), &places)?;
    let marks = marks.iter().filter(|mark| mark.starts_with(old)).map(|mark| places.locate(&moved(mark, old, new)));
    let marks: Vec<Locator> = marks.collect();
    let whole = library.db.transaction()?;
    repoint(&whole, &steps)?;
    for (image, etag) in stamps {
        whole.prepare_cached("UPDATE images SET etag = ?2 WHERE id = ?1")?.execute(params![image.0, etag])?;
    }
    for mark in marks {
        whole
            .prepare_cached("INSERT INTO forgotten_paths (bucket, key) VALUES (?1, ?2) ON CONFLICT DO NOTHING")?
            .execute(params![mark.bucket, mark.key])?;
    }
    whole.commit()?;
    roots::replace(library, old, Some(new))?;
    let mut remembered = runner::remembered(library)?;
    remembered.iter_mut().filter(|path| path.starts_with(old)).for_each(|path| *path = moved(path, old, new));
    runner::remember(library, &remembered)?;
    Ok(relocation)
}

/// Takes out what is stored below a root, whether or not its files exist; how many photos that were. They
/// are not forgotten: where they exist, the next index of the root finds them again.
pub fn remove(library: &mut Library, root: &Path) -> Result<u64, LibraryError> {
    let photos: Vec<ImageId> = below(library, root)?.iter().map(|photo| photo.id).collect();
    let removed = write::remove(&mut library.db, &photos)?;
    roots::replace(library, root, None)?;
    let mut remembered = runner::remembered(library)?;
    remembered.retain(|path| !path.starts_with(root));
    runner::remember(library, &remembered)?;
    Ok(removed as u64)
}

/// The path below `new` that is where `path` is below `old`.
fn moved(path: &Path, old: &Path, new: &Path) -> PathBuf {
    match path.strip_prefix(old) {
        Ok(rest) if !rest.as_os_str().is_empty() => new.join(rest),
        _ => new.to_path_buf(),
    }
}

/// The etag under which the file at `target` is the photo; `None` where it is not, or not there.
fn same(db: &Connection, photo: &Stored, target: &Path) -> Option<String> {
    let metadata = std::fs::metadata(target).ok().filter(|metadata| metadata.is_file())?;
    if metadata.len() != photo.bytes {
        return None;
    }
    let now = stamp(&metadata);
    match moves::stored_content(db, photo.id) {
        _ if now == photo.etag => Some(now),
        Some(stored) => (moves::content(target).ok()? == stored).then_some(now),
        // Looked at again by the next index, which finds the same faces if it is the same.
        None => Some(photo.etag.clone()),
    }
}

fn below(library: &Library, root: &Path) -> Result<Vec<Stored>, LibraryError> {
    let mut select = library.db.prepare(
        "SELECT i.id, bucket, key, etag, bytes FROM images i JOIN galleries g ON g.n = i.gallery \
         WHERE g.name = ?1 ORDER BY bucket, key",
    )?;
    let mut found = select.query([LIBRARY_GALLERY])?;
    let mut below = Vec::new();
    while let Some(row) = found.next()? {
        let (bucket, key): (String, String) = (row.get(1)?, row.get(2)?);
        let Ok(path) = library.places().path(&bucket, &key) else { continue };
        if path.starts_with(root) {
            let place = library.places().locate(&path);
            let (etag, bytes) = (row.get(3)?, rows::unsigned(row, 4)?);
            below.push(Stored { id: ImageId(rows::id(row, 0)?), path, place, etag, bytes });
        }
    }
    Ok(below)
}
