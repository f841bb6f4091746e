//! The roots of a library: folders and photos that were named for an index, and whether they still exist.
//!
//! A library keeps a note of its roots, each with the place where its file system was mounted. A root
//! whose disk is not mounted any more is an empty folder, or one with other files in it: its photos
//! are away, and not deleted.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::key::PathMap;
use super::{Library, LibraryError};

/// Name of the note.
const NOTE: &str = "roots";
/// Most links that are followed one after another, as the system does.
const LINKS: usize = 40;

/// A bucket and a key.
type BucketKey = (String, String);

/// A folder or photo that was named for an index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Root {
    /// Absolute and without links.
    pub path: PathBuf,
    /// Whether anything exists at the path.
    pub is_there: bool,
    /// Whether a disk that held it when it was indexed last is not mounted any more.
    pub is_unmounted: bool,
}

/// Returns the paths without links, sorted, and without those inside another. They need not exist.
pub fn resolve(paths: &[PathBuf]) -> Result<Vec<PathBuf>, LibraryError> {
    let all = paths.iter().map(|path| absolute(path).map_err(|error| LibraryError::io(path, &error)));
    Ok(outermost(all.collect::<Result<_, _>>()?))
}

/// Makes a path absolute and resolves its links, as far as it exists.
pub fn absolute(given: &Path) -> std::io::Result<PathBuf> {
    let mut whole = std::path::absolute(given)?;
    for _ in 0..LINKS {
        let mut there = whole.as_path();
        let real = loop {
            match (there.canonicalize(), there.parent()) {
                (Ok(real), _) => break real,
                (Err(_), Some(parent)) => there = parent,
                (Err(_), None) => return Ok(whole),
            }
        };
        let Ok(rest) = whole.strip_prefix(there) else { return Ok(whole) };
        let mut parts = rest.components();
        let Some(next) = parts.next() else { return Ok(real) };
        let (next, rest) = (real.join(next), parts.as_path());
        match std::fs::read_link(&next) {
            // A link that leads nowhere now: what lay behind it is stored by where it leads.
            Ok(target) => whole = std::path::absolute(real.join(target).join(rest))?,
            Err(_) => return Ok(if rest.as_os_str().is_empty() { next } else { next.join(rest) }),
        }
    }
    Ok(whole)
}

/// Removes paths that are inside another.
pub(super) fn outermost(paths: BTreeSet<PathBuf>) -> Vec<PathBuf> {
    let mut kept: Vec<PathBuf> = Vec::new();
    for path in paths {
        // Sorted by parts, so a folder comes before what is in it.
        if !kept.last().is_some_and(|folder| path.starts_with(folder)) {
            kept.push(path);
        }
    }
    kept
}

/// Tells whether nothing exists at a path. A path that cannot be read may exist.
pub fn is_gone(path: &Path) -> bool {
    std::fs::symlink_metadata(path)
        .is_err_and(|error| matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory))
}

/// Checks which roots exist.
pub(super) fn look(library: &Library, paths: &[PathBuf]) -> Result<Vec<Root>, LibraryError> {
    let noted = read(library)?;
    let places = library.places();
    let look = |path: &PathBuf| {
        let is_there = !is_gone(path);
        let mount = noted.get(&place(places, path)).and_then(Option::as_ref);
        let mount = mount.and_then(|(bucket, key)| places.path(bucket, key).ok());
        let is_unmounted = is_there && mount.is_some_and(|before| is_unmounted(path, &before));
        Root { path: path.clone(), is_there, is_unmounted }
    };
    Ok(paths.iter().map(look).collect())
}

/// Tells whether the disk that was mounted at `before`, at or above `path`, is not mounted any more.
fn is_unmounted(path: &Path, before: &Path) -> bool {
    path.starts_with(before)
        && mount(path).is_some_and(|now| before.starts_with(&now) && before.as_os_str() != now.as_os_str())
}

/// Finds the nearest folder at or above a path at which a file system is mounted.
fn mount(path: &Path) -> Option<PathBuf> {
    let device = |path: &Path| std::fs::metadata(path).map(|metadata| metadata.dev()).ok();
    let own = device(path)?;
    let mut place = path;
    while let Some(parent) = place.parent().filter(|parent| device(parent) == Some(own)) {
        place = parent;
    }
    Some(place.to_path_buf())
}

/// Stores the roots that were indexed, with the places where their disks are mounted now.
pub(super) fn remember(library: &Library, roots: &[PathBuf]) -> Result<(), LibraryError> {
    let mut noted = read(library)?;
    for root in roots {
        let mount = mount(root).filter(|mount| mount != Path::new("/"));
        let mount = mount.map(|mount| place(library.places(), &mount));
        noted.insert(place(library.places(), root), mount);
    }
    write(library, noted)
}

/// Reads all roots that were ever indexed.
pub(super) fn noted(library: &Library) -> Result<Vec<PathBuf>, LibraryError> {
    let places = library.places();
    Ok(read(library)?.keys().filter_map(|(bucket, key)| places.path(bucket, key).ok()).collect())
}

/// Stores that roots at or below `old` are at or below `new` now, or are removed.
pub(super) fn replace(library: &Library, old: &Path, new: Option<&Path>) -> Result<(), LibraryError> {
    let mut noted = read(library)?;
    let mut there = Vec::new();
    noted.retain(|(bucket, key), _| match library.places().path(bucket, key) {
        Ok(path) if path.starts_with(old) => {
            there.extend(new.zip(path.strip_prefix(old).ok()).map(|(new, rest)| new.join(rest)));
            false
        }
        _ => true,
    });
    write(library, noted)?;
    remember(library, &there)
}

fn place(places: &PathMap, path: &Path) -> BucketKey {
    let locator = places.locate(path);
    (locator.bucket, locator.key)
}

fn read(library: &Library) -> Result<BTreeMap<BucketKey, Option<BucketKey>>, LibraryError> {
    let Some(note) = library.note(NOTE)? else { return Ok(BTreeMap::new()) };
    let all: Vec<(BucketKey, Option<BucketKey>)> =
        serde_json::from_str(&note).map_err(|error| LibraryError::Broken(format!("the note of roots: {error}")))?;
    Ok(all.into_iter().collect())
}

fn write(library: &Library, roots: BTreeMap<BucketKey, Option<BucketKey>>) -> Result<(), LibraryError> {
    let all: Vec<(BucketKey, Option<BucketKey>)> = roots.into_iter().collect();
    let text = serde_json::to_string(&all).map_err(|error| LibraryError::Broken(error.to_string()))?;
    library.set_note(NOTE, &text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_without_links_also_where_they_are_gone() {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path().canonicalize().unwrap();
        std::fs::create_dir_all(base.join("a/b")).unwrap();
        std::os::unix::fs::symlink("a", base.join("link")).unwrap();
        std::os::unix::fs::symlink("gone/x", base.join("nowhere")).unwrap();
        std::os::unix::fs::symlink("circle", base.join("circle")).unwrap();
        for (given, real) in [
            ("link/b", "a/b"),
            ("link/c/d", "a/c/d"),
            ("a/b/../x", "a/x"),
            ("nowhere", "gone/x"),
            ("nowhere/y", "gone/x/y"),
            ("circle", "circle"),
        ] {
            assert_eq!(absolute(&base.join(given)).unwrap(), base.join(real), "{given}");
        }
        let all = [base.join("link/b"), base.join("a"), base.join("gone")];
        assert_eq!(resolve(&all).unwrap(), [base.join("a"), base.join("gone")]);
    }

    #[test]
    fn a_root_whose_disk_went_is_told_from_one_that_never_had_one() {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path().canonicalize().unwrap();
        let library = Library::create(&base.join(".muster")).unwrap();
        let roots = [base.join("disk/photos"), base.join("here"), base.join("gone")];
        roots[..2].iter().for_each(|root| std::fs::create_dir_all(root).unwrap());
        remember(&library, &roots).unwrap();
        let flags = || -> Vec<_> {
            look(&library, &roots).unwrap().iter().map(|root| (root.is_there, root.is_unmounted)).collect()
        };
        assert_eq!(flags(), [(true, false), (true, false), (false, false)]);
        // As if a disk had been mounted there then.
        let places = library.places();
        let mut noted = read(&library).unwrap();
        noted.insert(place(places, &roots[0]), Some(place(places, &base.join("disk"))));
        write(&library, noted).unwrap();
        assert_eq!(flags(), [(true, true), (true, false), (false, false)]);
        // And as if it was taken for good.
        remember(&library, &roots[..1]).unwrap();
        assert_eq!(flags()[0], (true, false));
    }
}
