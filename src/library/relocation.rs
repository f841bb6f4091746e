//! Moves roots, and removes roots from a library.

use std::path::{Path, PathBuf};

use muster_actors::domain::image::{ImageId, Locator};
use muster_gallery::LIBRARY_GALLERY;
use rusqlite::{Connection, params};
use serde::Serialize;

use super::file_version::file_version;
use super::repoint::{PhotoMove, repoint};
use super::{Library, LibraryError, key, moves, roots, rows, runner, tombstones, write};

/// Number of missing paths that are reported.
const EXAMPLES: usize = 10;

/// The result of moving a root.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Relocation {
    /// Photos that are stored at their new paths now.
    pub matched: u64,
    /// Photos without a file of the same size at the new path, which were left as they were.
    pub unmatched: u64,
    /// Some of those, as [`key::shown`].
    pub examples: Vec<String>,
}

/// A stored photo with its path.
struct StoredPhoto {
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
        steps.push(PhotoMove { from: photo.id, to });
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

/// Removes the photos below a root from the library, whether or not their files exist, and returns their
/// number. They are not forgotten: the next index of the root finds existing ones again.
pub fn remove(library: &mut Library, root: &Path) -> Result<u64, LibraryError> {
    let photos: Vec<ImageId> = below(library, root)?.iter().map(|photo| photo.id).collect();
    let removed = write::remove(&mut library.db, &photos)?;
    roots::replace(library, root, None)?;
    let mut remembered = runner::remembered(library)?;
    remembered.retain(|path| !path.starts_with(root));
    runner::remember(library, &remembered)?;
    Ok(removed as u64)
}

/// Returns the path below `new` that corresponds to `path` below `old`.
fn moved(path: &Path, old: &Path, new: &Path) -> PathBuf {
    match path.strip_prefix(old) {
        Ok(rest) if !rest.as_os_str().is_empty() => new.join(rest),
        _ => new.to_path_buf(),
    }
}

/// Returns the etag of the file at `target` where it is the photo; `None` where it is not, or does not exist.
fn same(db: &Connection, photo: &StoredPhoto, target: &Path) -> Option<String> {
    let metadata = std::fs::metadata(target).ok().filter(|metadata| metadata.is_file())?;
    if metadata.len() != photo.bytes {
        return None;
    }
    let now = file_version(&metadata);
    match moves::stored_content(db, photo.id) {
        _ if now == photo.etag => Some(now),
        Some(stored) => (moves::content(target).ok()? == stored).then_some(now),
        // Looked at again by the next index, which finds the same faces if it is the same.
        None => Some(photo.etag.clone()),
    }
}

fn below(library: &Library, root: &Path) -> Result<Vec<StoredPhoto>, LibraryError> {
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
            below.push(StoredPhoto { id: ImageId(rows::id(row, 0)?), path, place, etag, bytes });
        }
    }
    Ok(below)
}
