//! Recognises photos that were renamed or moved, so that their data moves with them.
//!
//! A photo that appears is one that is gone from elsewhere if size and time of both are the same, and
//! their content: BLAKE3 of the file's bytes. Where the content of the one that is gone was not stored,
//! the names of both must be the same, whichever way accents are written in them (Unicode NFC). Among
//! several, those whose paths have the longest end in common belong together.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs::File;
use std::path::{Path, PathBuf};

use muster_actors::domain::image::{ImageId, Locator};
use muster_gallery::LIBRARY_GALLERY;
use rusqlite::Connection;
use unicode_normalization::UnicodeNormalization;

use super::repoint::PhotoMove;
use super::roots::{self, Root};
use super::{Library, LibraryError};

/// Most pairs of one size and time that are compared; where there are more, none is.
const PAIRS: usize = 10_000;

/// BLAKE3 of a file's bytes.
type Content = [u8; 32];

/// A photo at a path where none is stored.
pub(super) struct NewPhoto<'a> {
    /// Its size and time, as [`fingerprint`].
    pub etag: u64,
    pub bucket: &'a str,
    pub key: &'a str,
}

/// A photo that moved.
pub(super) struct MovedPhoto {
    /// Index among the new photos.
    pub arrival: usize,
    pub from: ImageId,
    pub to: Locator,
    /// The model that its faces are of.
    pub model: String,
}

impl MovedPhoto {
    pub(super) fn step(&self) -> PhotoMove {
        PhotoMove { from: self.from, to: self.to.clone() }
    }
}

/// A stored photo whose file is gone.
struct MissingPhoto {
    id: ImageId,
    path: PathBuf,
    model: String,
    content: Option<Content>,
}

/// Hashes an etag into few bytes, because a million must fit. 0 stands for a file that could not be read.
pub(super) fn fingerprint(etag: &str) -> u64 {
    match etag {
        "" => 0,
        etag => blake3::hash(etag.as_bytes()).as_bytes().first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes)),
    }
}

/// Reads the content hash of a stored photo, where it is known.
pub(super) fn stored_content(db: &Connection, image: ImageId) -> Option<Content> {
    // Libraries of older releases have no such column.
    let mut select = db.prepare_cached("SELECT content FROM images WHERE id = ?1").ok()?;
    select.query_row([image.0], |row| row.get(0)).ok().flatten()
}

/// Computes the content hash of a file.
pub(super) fn content(path: &Path) -> std::io::Result<Content> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(File::open(path)?)?;
    Ok(*hasher.finalize().as_bytes())
}

/// Finds which arrivals are photos that are gone from their places: those of `gone`, which are below the
/// roots, and those below no root whose files do not exist. `go_on` says whether there is still time.
pub(super) fn find(
    library: &Library,
    roots: &[Root],
    gone: &HashSet<ImageId>,
    arrivals: &[NewPhoto<'_>],
    go_on: &dyn Fn() -> bool,
) -> Result<Vec<MovedPhoto>, LibraryError> {
    let mut by_etag: HashMap<u64, Vec<usize>> = HashMap::new();
    let left = left(library, roots, gone, arrivals)?;
    for (n, arrival) in arrivals.iter().enumerate().filter(|(_, arrival)| left.contains_key(&arrival.etag)) {
        by_etag.entry(arrival.etag).or_default().push(n);
    }
    let mut found = Vec::new();
    for (etag, left) in &left {
        let Some(arrived) = by_etag.get(etag) else { continue };
        if !go_on() {
            return Ok(Vec::new());
        }
        if left.len().saturating_mul(arrived.len()) <= PAIRS {
            found.extend(pair(library, left, arrived, arrivals));
        }
    }
    found.sort_unstable_by_key(|found| found.arrival);
    Ok(found)
}

/// Collects stored photos whose files are gone, by etag, where a new photo has their etag.
fn left(
    library: &Library,
    roots: &[Root],
    gone: &HashSet<ImageId>,
    arrivals: &[NewPhoto<'_>],
) -> Result<HashMap<u64, Vec<MissingPhoto>>, LibraryError> {
    let arrived: HashSet<u64> = arrivals.iter().map(|arrival| arrival.etag).filter(|etag| *etag != 0).collect();
    let mut left: HashMap<u64, Vec<MissingPhoto>> = HashMap::new();
    if arrived.is_empty() {
        return Ok(left);
    }
    let mut select = library.db().prepare(
        "SELECT i.id, bucket, key, etag, model FROM images i JOIN galleries g ON g.n = i.gallery \
         WHERE g.name = ?1 AND state <> 'rejected' ORDER BY bucket, key",
    )?;
    let mut stored = select.query([LIBRARY_GALLERY])?;
    while let Some(row) = stored.next()? {
        let etag = fingerprint(row.get_ref(3)?.as_str().unwrap_or_default());
        let (bucket, key): (String, String) = (row.get(1)?, row.get(2)?);
        let Ok(path) = library.places().path(&bucket, &key) else { continue };
        if !arrived.contains(&etag) {
            continue;
        }
        let id = ImageId(row.get(0)?);
        let is_below = roots.iter().any(|root| path.starts_with(&root.path));
        if gone.contains(&id) || (!is_below && roots::is_gone(&path)) {
            let content = stored_content(library.db(), id);
            left.entry(etag).or_default().push(MissingPhoto { id, path, model: row.get(4)?, content });
        }
    }
    Ok(left)
}

/// Pairs photos of one size and time: those whose paths have the longest end in common first.
fn pair(library: &Library, left: &[MissingPhoto], arrived: &[usize], arrivals: &[NewPhoto<'_>]) -> Vec<MovedPhoto> {
    let arrived: Vec<(usize, PathBuf)> = arrived
        .iter()
        .filter_map(|&n| Some((n, library.places().path(arrivals[n].bucket, arrivals[n].key).ok()?)))
        .collect();
    let mut pairs: Vec<(usize, usize, usize)> = (0..left.len())
        .flat_map(|from| (0..arrived.len()).map(move |to| (from, to)))
        .map(|(from, to)| (common_end(&left[from].path, &arrived[to].1), from, to))
        .collect();
    pairs.sort_unstable_by_key(|&(common, from, to)| (Reverse(common), from, to));
    let mut contents: HashMap<usize, Option<Content>> = HashMap::new();
    let (mut taken, mut given) = (BTreeSet::new(), BTreeSet::new());
    let mut found = Vec::new();
    for &(common, from, to) in &pairs {
        if taken.contains(&from) || given.contains(&to) {
            continue;
        }
        let (photo, (arrival, path)) = (&left[from], &arrived[to]);
        let is_same = match photo.content {
            Some(stored) => *contents.entry(to).or_insert_with(|| content(path).ok()) == Some(stored),
            // As far as it is known; of several that are alike in all of it none is taken.
            None => {
                let rivals = pairs.iter().filter(|pair| pair.0 == common && pair.2 == to && !taken.contains(&pair.1));
                common > 0 && rivals.count() == 1
            }
        };
        if is_same {
            taken.insert(from);
            given.insert(to);
            let (id, to) = (photo.id, library.places().locate(path));
            found.push(MovedPhoto { arrival: *arrival, from: id, to, model: photo.model.clone() });
        }
    }
    found
}

/// Counts the parts that two paths have in common at their ends, whichever way accents are written.
fn common_end(a: &Path, b: &Path) -> usize {
    let same = |(a, b): &(std::path::Component<'_>, std::path::Component<'_>)| match (
        a.as_os_str().to_str(),
        b.as_os_str().to_str(),
    ) {
        (Some(a), Some(b)) => a == b || a.nfc().eq(b.nfc()),
        _ => a == b,
    };
    a.components().rev().zip(b.components().rev()).take_while(same).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ends_of_paths_are_compared_whichever_way_accents_are_written() {
        for (a, b, common) in [
            ("/a/b/c.jpg", "/x/b/c.jpg", 2),
            ("/a/c.jpg", "/a/d.jpg", 0),
            ("/a/caf\u{e9}/\u{e9}.jpg", "/b/cafe\u{301}/e\u{301}.jpg", 2),
        ] {
            assert_eq!(common_end(Path::new(a), Path::new(b)), common, "{a} {b}");
        }
    }

    /// Which of the photos that are gone, each with whether its content is known, arrived where.
    fn paired(base: &Path, left: &[(&str, Option<&str>)], arrived: &[(&str, &str)]) -> Vec<(usize, usize)> {
        let library = Library::create(&base.join(".muster")).unwrap();
        let photo = |(n, (path, content)): (u8, &(&str, Option<&str>))| MissingPhoto {
            id: ImageId([n; 16]),
            path: base.join(path),
            model: String::new(),
            content: content.map(|content| *blake3::hash(content.as_bytes()).as_bytes()),
        };
        let left: Vec<MissingPhoto> = (0..).zip(left).map(photo).collect();
        for (path, content) in arrived {
            let path = base.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        let arrivals: Vec<NewPhoto<'_>> =
            arrived.iter().map(|(key, _)| NewPhoto { etag: 1, bucket: ".", key }).collect();
        let numbers: Vec<usize> = (0..arrivals.len()).collect();
        let mut found: Vec<_> = pair(&library, &left, &numbers, &arrivals)
            .iter()
            .map(|found| (usize::from(found.from.0[0]), found.arrival))
            .collect();
        found.sort_unstable();
        found
    }

    #[test]
    fn photos_of_one_size_and_time_are_paired_by_content_and_by_the_ends_of_their_paths() {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path().canonicalize().unwrap();
        for (left, arrived, expected) in [
            // Its content says that it is the same, under whatever name.
            (vec![("a.jpg", Some("x"))], vec![("b/c.jpg", "x")], vec![(0, 0)]),
            (vec![("a.jpg", Some("x"))], vec![("b/a.jpg", "y")], vec![]),
            // Else only its name does.
            (vec![("a.jpg", None)], vec![("b/a.jpg", "x")], vec![(0, 0)]),
            (vec![("a.jpg", None)], vec![("b/c.jpg", "x")], vec![]),
            // Copies stay where they are beside each other.
            (
                vec![("p/x/a.jpg", Some("x")), ("p/y/a.jpg", Some("x"))],
                vec![("q/y/a.jpg", "x"), ("q/x/a.jpg", "x")],
                vec![(0, 1), (1, 0)],
            ),
            (vec![("p/x/a.jpg", None), ("p/y/a.jpg", None)], vec![("q/y/a.jpg", "x")], vec![(1, 0)]),
            // Nothing says which of the two it was.
            (vec![("p/a.jpg", None), ("r/a.jpg", None)], vec![("q/a.jpg", "x")], vec![]),
            // One of two copies that appeared is it, the other is new.
            (vec![("p/a.jpg", Some("x"))], vec![("q/b.jpg", "x"), ("r/a.jpg", "x")], vec![(0, 1)]),
        ] {
            assert_eq!(paired(&base, &left, &arrived), expected, "{left:?} {arrived:?}");
        }
    }

    #[test]
    fn no_content_is_known_where_it_was_not_stored() {
        let folder = tempfile::tempdir().unwrap();
        let library = Library::create(folder.path()).unwrap();
        assert_eq!(stored_content(library.db(), ImageId([0; 16])), None);
        std::fs::write(folder.path().join("a"), "x").unwrap();
        assert_eq!(content(&folder.path().join("a")).unwrap(), *blake3::hash(b"x").as_bytes());
    }
}
