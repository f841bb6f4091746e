//! Walks the folders that were named, and compares what is there with what is stored.
//!
//! Folders are walked in the order of their names, so that the same folder gives the same work. Links
//! to folders are not followed (they may lead in circles, or to the same photos again); links to photos
//! are. Names that begin with a dot are passed over unless they were named, and so is what people asked
//! to [forget](super::tombstones). Libraries that are met on the way are told.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use muster_actors::domain::image::{ImageId, ImageState, Locator, RejectReason, Rejection};
use muster_gallery::LIBRARY_GALLERY;
use rusqlite::{Connection, params};
use serde::Serialize;
use walkdir::{DirEntry, WalkDir};

use super::key::Places;
use super::library::{self, FOLDER};
use super::stamp::stamp;
use super::{Library, LibraryError, rows, tombstones};

/// What to look for, and where.
#[derive(Clone, Debug)]
pub struct ScanOptions {
    /// Folders and photos.
    pub paths: Vec<PathBuf>,
    /// Id of the model pack: photos that were looked at with another are delivered again.
    pub model: String,
}

/// What a scan came to so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ScanReport {
    /// Photos found: the sum of the four below.
    pub found: u64,
    /// Not stored yet, or not to the end.
    pub new: u64,
    /// Other bytes, or looked at with another model.
    pub changed: u64,
    /// Stored as they are now: skipped.
    pub unchanged: u64,
    /// Forgotten by a person: skipped.
    pub forgotten: u64,
    /// Files that are no photos by their name.
    pub ignored: u64,
    /// Photos taken out of the store because they are gone.
    pub removed: u64,
    /// Folders and links that could not be looked into.
    pub problems: Vec<Problem>,
    /// Folders of other libraries below the roots, as [`super::key::shown`].
    pub other_libraries: Vec<String>,
    /// The walk is done: the figures are final.
    pub finished: bool,
}

/// A folder or link that could not be looked into.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// As [`super::key::shown`].
    pub path: String,
    /// Why.
    #[serde(flatten)]
    pub rejection: Rejection,
}

/// Whether a file is a photo by its name.
pub fn is_photo(path: &Path) -> bool {
    const EXTENSIONS: [&str; 7] = ["jpg", "jpeg", "jpe", "png", "webp", "heic", "heif"];
    let extension = path.extension().and_then(|e| e.to_str());
    extension.is_some_and(|e| EXTENSIONS.iter().any(|known| e.eq_ignore_ascii_case(known)))
}

/// The paths without links, sorted, and without those inside another.
pub fn roots(paths: &[PathBuf]) -> Result<Vec<PathBuf>, LibraryError> {
    let mut all = BTreeSet::new();
    for path in paths {
        all.insert(path.canonicalize().map_err(|e| match e.kind() {
            std::io::ErrorKind::NotFound => LibraryError::Absent(path.clone()),
            _ => LibraryError::io(path, &e),
        })?);
    }
    let mut kept: Vec<PathBuf> = Vec::new();
    for path in all {
        // Sorted by parts, so a folder comes before what is in it.
        if !kept.last().is_some_and(|folder| path.starts_with(folder)) {
            kept.push(path);
        }
    }
    Ok(kept)
}

/// A stored photo, in as few bytes as can be: a million must fit.
struct Known {
    version: u64,
    seen: bool,
}

/// The version of a photo as far as skipping it goes: etag and model.
fn version(etag: &str, model: &str) -> u64 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&(etag.len() as u64).to_le_bytes()).update(etag.as_bytes()).update(model.as_bytes());
    let mut first = [0; 8];
    first.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
    u64::from_le_bytes(first)
}

/// Whether a rejection may end without the file changing: then it is tried again each time.
fn may_pass(reason: RejectReason) -> bool {
    use RejectReason as R;
    match reason {
        R::Missing | R::Unreadable | R::DecoderMissing | R::Isolated | R::TooManyAttempts | R::BadMessage => true,
        R::Forgotten => true,                       // until it is taken back
        R::TooManyBytes | R::TooManyPixels => true, // the limits are settings
        R::Empty | R::UnknownFormat | R::Truncated | R::Corrupt | R::Crashed => false,
    }
}

/// One walk over the roots.
pub(super) struct Scan<'a> {
    places: &'a Places,
    roots: &'a [PathBuf],
    model: &'a str,
    /// The folder of the library itself.
    own: PathBuf,
    known: HashMap<ImageId, Known>,
    forgotten: Vec<PathBuf>,
    /// Where the walk could not look: what is stored from there stays.
    blind: Vec<PathBuf>,
}

/// One step of a walk.
#[derive(Debug)]
pub(super) enum Step {
    New(Locator),
    Changed(Locator),
    Unchanged,
    Forgotten,
    Ignored,
    Problem(Locator, Rejection),
    /// The folder of another library.
    Library(Locator),
}

impl<'a> Scan<'a> {
    /// Reads what is stored under the roots.
    pub(super) fn prepare(
        library: &Library,
        places: &'a Places,
        roots: &'a [PathBuf],
        model: &'a str,
    ) -> Result<Self, LibraryError> {
        let (db, own) = (library.db(), library.folder().to_path_buf());
        let forgotten = tombstones::paths(db, places)?;
        let mut known = HashMap::new();
        let mut select = db.prepare(
            "SELECT i.id, bucket, key, etag, model, state, reason FROM images i JOIN galleries g ON g.n = i.gallery \
             WHERE g.name = ?1",
        )?;
        let mut stored = select.query(params![LIBRARY_GALLERY])?;
        while let Some(row) = stored.next()? {
            let (bucket, key): (String, String) = (row.get(1)?, row.get(2)?);
            let Ok(path) = places.path(&bucket, &key) else { continue };
            if !roots.iter().any(|root| path.starts_with(root)) {
                continue;
            }
            let open =
                rows::state(row, 5)? == ImageState::Rejected && rows::reject_reason(row, 6)?.is_none_or(may_pass);
            let (etag, model): (String, String) = (row.get(3)?, row.get(4)?);
            // 0 is no version in practice: it says "look again".
            let version = if open { 0 } else { version(&etag, &model) };
            known.insert(ImageId(rows::id(row, 0)?), Known { version, seen: false });
        }
        Ok(Self { places, roots, model, own, known, forgotten, blind: Vec::new() })
    }

    /// Walks, and hands each step out until `take` says stop. `true` when it came to the end.
    pub(super) fn walk(&mut self, mut take: impl FnMut(Step) -> bool) -> bool {
        for root in self.roots {
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
                    Ok(entry) if library::is_database(entry.path()) => {
                        entry.path().parent().and_then(|f| self.library(f))
                    }
                    Ok(entry) => Some(self.file(&entry)),
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

    /// The folder of a library, if it is not this one's.
    fn library(&self, folder: &Path) -> Option<Step> {
        (folder != self.own).then(|| Step::Library(self.places.locate(folder)))
    }

    fn blinded(&mut self, path: PathBuf, rejection: Rejection) -> Step {
        let locator = self.places.locate(&path);
        self.blind.push(path);
        Step::Problem(locator, rejection)
    }

    fn file(&mut self, entry: &DirEntry) -> Step {
        let path = entry.path();
        // A file that was named is looked at, whatever its name is.
        if entry.depth() > 0 && (is_hidden(entry) || !is_photo(path)) {
            return match std::fs::metadata(path) {
                Ok(target) if entry.path_is_symlink() && target.is_dir() && !is_hidden(entry) => self.link(path),
                _ => Step::Ignored,
            };
        }
        if self.forgets(entry) {
            return Step::Forgotten;
        }
        let metadata = std::fs::metadata(path);
        if metadata.as_ref().is_ok_and(|m| m.is_dir()) {
            return self.link(path);
        }
        // What cannot even be asked for its size is delivered: the reader finds out why.
        let etag = metadata.map(|m| stamp(&m)).unwrap_or_default();
        let locator = self.places.locate(path);
        match self.known.get_mut(&locator.id()) {
            None => Step::New(locator),
            Some(known) => {
                known.seen = true;
                if known.version == version(&etag, self.model) { Step::Unchanged } else { Step::Changed(locator) }
            }
        }
    }

    fn link(&mut self, path: &Path) -> Step {
        let detail = "a link to a folder is not followed: name the folder itself";
        self.blinded(path.to_path_buf(), Rejection::new(RejectReason::Unreadable, detail))
    }

    /// Stored photos that a whole walk did not meet, except where it could not look.
    pub(super) fn gone(self, db: &Connection) -> Result<Vec<ImageId>, LibraryError> {
        let mut gone = Vec::new();
        let mut select = db.prepare("SELECT bucket, key FROM images WHERE id = ?1")?;
        for (id, _) in self.known.iter().filter(|(_, known)| !known.seen) {
            let (bucket, key): (String, String) = select.query_row([id.0], |row| Ok((row.get(0)?, row.get(1)?)))?;
            let Ok(path) = self.places.path(&bucket, &key) else { continue };
            if !self.blind.iter().any(|blind| path.starts_with(blind)) {
                gone.push(*id);
            }
        }
        gone.sort_unstable();
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

/// Keeps the problems of a walk for the report: those under the roots replace what was there.
pub(super) fn save_problems(
    db: &mut Connection,
    places: &Places,
    roots: &[PathBuf],
    problems: &[(Locator, Rejection)],
) -> Result<(), LibraryError> {
    let whole = db.transaction()?;
    let old: Vec<(String, String)> = whole
        .prepare("SELECT bucket, key FROM problems")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    for (bucket, key) in old {
        if places.path(&bucket, &key).is_ok_and(|path| roots.iter().any(|root| path.starts_with(root))) {
            whole.execute("DELETE FROM problems WHERE bucket = ?1 AND key = ?2", params![bucket, key])?;
        }
    }
    for (locator, rejection) in problems {
        whole.execute(
            "INSERT OR REPLACE INTO problems (bucket, key, reason, detail) VALUES (?1, ?2, ?3, ?4)",
            params![locator.bucket, locator.key, rejection.reason.as_str(), rejection.detail],
        )?;
    }
    whole.commit()?;
    Ok(())
}
