//! Walks the folders that were named, and compares what is there with what is stored.
//!
//! Folders are walked in the order of their names, so that the same folder gives the same work. Links
//! to folders are not followed (they may lead in circles, or to the same photos again); links to photos
//! are. Names that begin with a dot are passed over unless they were named, and so is what people asked
//! to [forget](super::tombstones). Libraries that are met on the way are told.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use muster_actors::domain::image::{ImageId, ImageState, Locator, RejectReason, Rejection};
use muster_gallery::LIBRARY_GALLERY;
use rusqlite::params;
use serde::Serialize;
use walkdir::{DirEntry, WalkDir};

use super::file_version::file_version;
use super::key::PathMap;
use super::library::{self, FOLDER};
use super::problems::{Problem, may_pass};
use super::removals::{GonePhoto, Missing};
use super::roots::Root;
use super::{Library, LibraryError, moves, report, rows, tombstones};

/// Extensions of the files that are photos.
pub const EXTENSIONS: [&str; 7] = ["jpg", "jpeg", "jpe", "png", "webp", "heic", "heif"];

/// Options of a scan.
#[derive(Clone, Debug, Default)]
pub struct ScanOptions {
    /// Folders and photos.
    pub paths: Vec<PathBuf>,
    /// Id of the model pack: photos that were looked at with another are delivered again.
    pub model: String,
    /// Photos that are gone are taken out, however many they are.
    pub accept_removals: bool,
}

/// The figures of a scan.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ScanReport {
    /// Photos found: the sum of the five below.
    pub found: u64,
    /// Not stored yet, or not to the end.
    pub new: u64,
    /// Other bytes, or looked at with another model.
    pub changed: u64,
    /// Stored as they are now: skipped.
    pub unchanged: u64,
    /// Stored, and cannot be asked for their size now: skipped.
    pub unreadable: u64,
    /// Forgotten by a person: skipped.
    pub forgotten: u64,
    /// Stored with faces, and kept so although they cannot be read now; the unreadable are among them.
    pub kept: u64,
    /// Files that are no photos by their name.
    pub ignored: u64,
    /// Photos that were renamed or moved: their records went along. They are among the unchanged, or
    /// the changed where they were looked at with another model.
    pub moved: u64,
    /// Photos taken out of the store because they are gone.
    pub removed: u64,
    /// Roots below which photos are gone that were not taken out.
    pub missing: Vec<Missing>,
    /// Folders, links and photos that could not be looked into.
    pub problems: Vec<Problem>,
    /// Folders of other libraries below the roots, as [`super::key::shown`].
    pub other_libraries: Vec<String>,
    /// The walk is done: the figures are final.
    pub finished: bool,
}

/// Tells whether a file is a photo by its name.
pub fn is_photo(path: &Path) -> bool {
    let extension = path.extension().and_then(|e| e.to_str());
    extension.is_some_and(|e| EXTENSIONS.iter().any(|known| e.eq_ignore_ascii_case(known)))
}

/// A stored photo in few bytes, because a million must fit.
struct StoredPhoto {
    /// As [`moves::fingerprint`].
    etag: u64,
    /// Looked at with the model of this scan.
    is_current: bool,
    /// Rejected for a reason that may pass: tried again.
    is_open: bool,
    seen: bool,
}

/// A walk over the roots.
pub(super) struct Scan<'a> {
    places: &'a PathMap,
    roots: &'a [Root],
    /// The folder of the library itself.
    own: PathBuf,
    known: HashMap<ImageId, StoredPhoto>,
    /// Photos stored below each root.
    counts: Vec<u64>,
    forgotten: Vec<PathBuf>,
    /// Where the walk could not look: what is stored from there stays.
    blind: Vec<PathBuf>,
}

/// One step of a walk.
#[derive(Debug)]
pub(super) enum ScanStep {
    /// With its size and time, as [`moves::fingerprint`].
    New(Locator, u64),
    /// Stored, and to be looked at again.
    Changed(Locator),
    /// Stored, and another file now, of this size and time.
    Replaced(Locator, u64),
    Unchanged,
    /// Stored, and cannot be asked for its size now.
    Unreadable(Locator, Rejection),
    Forgotten,
    Ignored,
    Problem(Locator, Rejection),
    /// The folder of another library.
    Library(Locator),
}

impl<'a> Scan<'a> {
    /// Reads the photos that are stored under the roots.
    pub(super) fn prepare(
        library: &Library,
        places: &'a PathMap,
        roots: &'a [Root],
        model: &str,
    ) -> Result<Self, LibraryError> {
        let (db, own) = (library.db(), library.folder().to_path_buf());
        let forgotten = tombstones::paths(db, places)?;
        let (mut known, mut counts) = (HashMap::new(), vec![0; roots.len()]);
        let mut select = db.prepare(
            "SELECT i.id, bucket, key, etag, model, state, reason FROM images i JOIN galleries g ON g.n = i.gallery \
             WHERE g.name = ?1",
        )?;
        let mut stored = select.query(params![LIBRARY_GALLERY])?;
        while let Some(row) = stored.next()? {
            let (bucket, key): (String, String) = (row.get(1)?, row.get(2)?);
            let Ok(path) = places.path(&bucket, &key) else { continue };
            let Some(root) = roots.iter().position(|root| path.starts_with(&root.path)) else { continue };
            counts[root] += 1;
            let is_open =
                rows::state(row, 5)? == ImageState::Rejected && rows::reject_reason(row, 6)?.is_none_or(may_pass);
            let etag = moves::fingerprint(row.get_ref(3)?.as_str().unwrap_or_default());
            let is_current = row.get_ref(4)?.as_str() == Ok(model);
            known.insert(ImageId(rows::id(row, 0)?), StoredPhoto { etag, is_current, is_open, seen: false });
        }
        Ok(Self { places, roots, own, known, counts, forgotten, blind: Vec::new() })
    }

    /// Walks, and hands each step out until `take` says stop. `true` when it came to the end.
    pub(super) fn walk(&mut self, mut take: impl FnMut(ScanStep) -> bool) -> bool {
        for root in self.roots.iter().filter(|root| root.is_there) {
            let root = &root.path;
            let mut walk = WalkDir::new(root).follow_links(false).sort_by_file_name().into_iter();
            while let Some(entry) = walk.next() {
                let step = match entry {
                    Err(error) => Some(self.blinded(error.path().unwrap_or(root).to_path_buf(), unreadable(&error))),
                    Ok(entry) if entry.file_type().is_dir() => {
                        let hidden = entry.depth() > 0 && is_hidden(&entry);
                        if hidden || self.forgets(&entry) {
                            walk.skip_current_dir();
                        }
                        let is_library = hidden && entry.file_name() == FOLDER && library::is_there(entry.path());
                        is_library.then(|| self.library(entry.path())).flatten()
                    }
                    Ok(entry) if entry.file_type().is_file() && library::is_database(entry.path()) => {
                        entry.path().parent().and_then(|f| self.library(f))
                    }
                    Ok(entry) => (!self.is_own(entry.path())).then(|| self.file(&entry)),
                };
                if step.is_some_and(|step| !take(step)) {
                    return false;
                }
            }
        }
        true
    }

    fn forgets(&self, entry: &DirEntry) -> bool {
        self.forgotten.iter().any(|path| entry.path().starts_with(path))
    }

    /// Tells whether a folder is that of another library.
    fn library(&self, folder: &Path) -> Option<ScanStep> {
        (folder != self.own).then(|| ScanStep::Library(self.places.locate(folder)))
    }

    /// Tells whether a file is one of the library's own.
    fn is_own(&self, path: &Path) -> bool {
        path.parent() == Some(&self.own) && path.file_name().is_some_and(library::is_own)
            || report::is_further(&self.own.join(library::REPORT), path)
    }

    fn blinded(&mut self, path: PathBuf, rejection: Rejection) -> ScanStep {
        let locator = self.places.locate(&path);
        self.blind.push(path);
        ScanStep::Problem(locator, rejection)
    }

    fn file(&mut self, entry: &DirEntry) -> ScanStep {
        let path = entry.path();
        // A file that was named is looked at, whatever its name is.
        if entry.depth() > 0 && (is_hidden(entry) || !is_photo(path)) {
            return match std::fs::metadata(path) {
                Ok(target) if entry.path_is_symlink() && target.is_dir() && !is_hidden(entry) => self.link(path),
                _ => ScanStep::Ignored,
            };
        }
        if self.forgets(entry) {
            return ScanStep::Forgotten;
        }
        let metadata = std::fs::metadata(path);
        if metadata.as_ref().is_ok_and(|m| m.is_dir()) {
            return self.link(path);
        }
        let locator = self.places.locate(path);
        let Some(known) = self.known.get_mut(&locator.id()) else {
            // What cannot even be asked for its size is delivered: the reader finds out why.
            let etag = metadata.map(|metadata| file_version(&metadata)).unwrap_or_default();
            return ScanStep::New(locator, moves::fingerprint(&etag));
        };
        known.seen = true;
        match metadata.map(|metadata| moves::fingerprint(&file_version(&metadata))) {
            Ok(etag) if known.etag != etag => ScanStep::Replaced(locator, etag),
            Ok(_) if known.is_current && !known.is_open => ScanStep::Unchanged,
            Err(error) if !known.is_open => {
                let detail = format!("cannot be read: {error}");
                ScanStep::Unreadable(locator, Rejection::new(RejectReason::Unreadable, detail))
            }
            _ => ScanStep::Changed(locator),
        }
    }

    fn link(&mut self, path: &Path) -> ScanStep {
        let detail = "a link to a folder is not followed: name the folder itself";
        self.blinded(path.to_path_buf(), Rejection::new(RejectReason::Unreadable, detail))
    }

    /// Photos stored below each root.
    pub(super) fn counts(&self) -> &[u64] {
        &self.counts
    }

    /// Stored photos that a whole walk did not meet, except where it could not look.
    pub(super) fn gone(&self, library: &Library) -> Result<Vec<GonePhoto>, LibraryError> {
        let mut gone = Vec::new();
        let mut select = library.db().prepare("SELECT bucket, key FROM images WHERE id = ?1")?;
        for (&id, _) in self.known.iter().filter(|(_, known)| !known.seen) {
            let (bucket, key): (String, String) = select.query_row([id.0], |row| Ok((row.get(0)?, row.get(1)?)))?;
            let Ok(path) = self.places.path(&bucket, &key) else { continue };
            if !self.blind.iter().any(|blind| path.starts_with(blind)) {
                gone.push(GonePhoto { id, path });
            }
        }
        gone.sort_unstable_by_key(|photo| photo.id);
        Ok(gone)
    }
}

fn is_hidden(entry: &DirEntry) -> bool {
    use std::os::unix::ffi::OsStrExt;
    entry.file_name().as_bytes().starts_with(b".")
}

fn unreadable(error: &walkdir::Error) -> Rejection {
    let why = error.io_error().map_or_else(|| "a loop of links".to_owned(), ToString::to_string);
    Rejection::new(RejectReason::Unreadable, format!("cannot be looked into: {why}"))
}
