//! An overview of the roots of a library.

use std::collections::BTreeSet;
use std::path::PathBuf;

use muster_gallery::LIBRARY_GALLERY;
use serde::Serialize;

use super::{Library, LibraryError, roots, runner};

/// A root with what is stored below it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RootCount {
    /// Absolute.
    pub path: PathBuf,
    /// Whether there is anything at the path.
    pub is_there: bool,
    /// Photos stored below it.
    pub images: u64,
}

/// The roots, and what lies below none of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Overview {
    /// The folders and photos that were indexed, by path.
    pub roots: Vec<RootCount>,
    /// Photos below none of them; those that were enrolled without being kept are among them.
    pub elsewhere: u64,
}

/// Counts the photos of each root.
pub fn overview(library: &Library) -> Result<Overview, LibraryError> {
    let mut paths: BTreeSet<PathBuf> = roots::noted(library)?.into_iter().collect();
    paths.extend(runner::remembered(library)?);
    let root = |path: PathBuf| RootCount { is_there: !roots::is_gone(&path), path, images: 0 };
    let mut all = Overview { roots: roots::outermost(paths).into_iter().map(root).collect(), elsewhere: 0 };
    let mut select = library
        .db()
        .prepare("SELECT bucket, key FROM images i JOIN galleries g ON g.n = i.gallery WHERE g.name = ?1")?;
    let mut stored = select.query([LIBRARY_GALLERY])?;
    while let Some(row) = stored.next()? {
        let (bucket, key): (String, String) = (row.get(0)?, row.get(1)?);
        let path = library.places().path(&bucket, &key);
        let root = path.ok().and_then(|path| all.roots.iter_mut().find(|root| path.starts_with(&root.path)));
        *root.map_or(&mut all.elsewhere, |root| &mut root.images) += 1;
    }
    Ok(all)
}
