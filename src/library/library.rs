//! A library folder: where it is, how it is opened, by one writer or any number of readers.

use std::ffi::OsStr;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, OptionalExtension};

use super::key::PathMap;
use super::lock::WriterLock;
use super::{LibraryError, lock, report, schema, stage};

/// Name of the library folder inside a photo folder.
pub const FOLDER: &str = ".muster";
/// Name of the page of people inside a library folder; see [`report`] for its further pages.
pub const REPORT: &str = "people.html";
const DATABASE: &str = "library.db";
/// Other files that a library's folder may hold.
const OWN: [&str; 3] = [REPORT, lock::NAME, "keys.json"];
const BUSY: Duration = Duration::from_secs(10);

/// An open library. Dropping the one that writes gives its lock back.
#[derive(Debug)]
pub struct Library {
    folder: PathBuf,
    places: PathMap,
    pub(super) db: Connection,
    // After the connection: it must be closed before another writer may come.
    lock: Option<WriterLock>,
}

impl Library {
    /// Where `muster index PATH…` keeps its library when nobody says: `.muster` in the first path that
    /// is a folder, else beside the first file. A library that older releases put among those photos
    /// is used on.
    pub fn default_folder(paths: &[PathBuf]) -> PathBuf {
        let first = paths.iter().find(|path| path.is_dir()).map(PathBuf::as_path);
        let beside = || paths.first().and_then(|path| path.parent()).filter(|p| !p.as_os_str().is_empty());
        let photos = first.or_else(beside).unwrap_or(Path::new("."));
        let places = [photos.join(FOLDER), photos.to_path_buf()];
        places.into_iter().find(|folder| is_there(folder)).unwrap_or_else(|| photos.join(FOLDER))
    }

    /// Where the library of `paths` is, or is to be made. A folder that was `given` and is a library
    /// stays one. One that holds anything else, or is one of the paths, gets a `.muster` of its own: the
    /// files of a library never lie among other files.
    pub fn place(given: Option<&Path>, paths: &[PathBuf]) -> PathBuf {
        let Some(given) = given else { return Self::default_folder(paths) };
        if let Ok(found) = Self::find(Some(given)) {
            return found;
        }
        let real = |path: &Path| path.canonicalize().ok();
        let is_path = real(given).is_some_and(|folder| paths.iter().any(|path| real(path).as_ref() == Some(&folder)));
        let is_named_so = given.file_name() == Some(OsStr::new(FOLDER));
        if !is_named_so && (is_path || holds_other_files(given)) { given.join(FOLDER) } else { given.to_path_buf() }
    }

    /// Finds an existing library: `given` may be the library's folder or the photo folder it lies in;
    /// without it, `./.muster` or the current folder.
    pub fn find(given: Option<&Path>) -> Result<PathBuf, LibraryError> {
        let start = given.unwrap_or(Path::new("."));
        let (inside, itself) = (start.join(FOLDER), start.to_path_buf());
        let places = if given.is_some() { [itself, inside] } else { [inside, itself] };
        let found = places.into_iter().find(|folder| is_there(folder));
        found.ok_or_else(|| LibraryError::NotFound(start.to_path_buf()))
    }

    /// Opens for writing, and makes the folder and its database where there is none.
    pub fn create(folder: &Path) -> Result<Self, LibraryError> {
        fs::create_dir_all(folder).map_err(|e| LibraryError::io(folder, &e))?;
        Self::writer(folder)
    }

    /// Opens an existing library for writing.
    pub fn open(folder: &Path) -> Result<Self, LibraryError> {
        if !folder.join(DATABASE).is_file() {
            return Err(LibraryError::NotFound(folder.to_path_buf()));
        }
        Self::writer(folder)
    }

    /// Opens an existing library for corrections, also while another process indexes into it: SQLite lets one of them
    /// write at a time, and a correction takes milliseconds.
    pub fn amend(folder: &Path) -> Result<Self, LibraryError> {
        let read = Self::read(folder)?;
        let db = writable(&read.folder)?;
        Ok(Self { places: read.places, folder: read.folder, db, lock: None })
    }

    fn writer(folder: &Path) -> Result<Self, LibraryError> {
        let folder = folder.canonicalize().map_err(|e| LibraryError::io(folder, &e))?;
        let lock = WriterLock::take(&folder)?;
        let mut db = writable(&folder)?;
        schema::migrate(&mut db)?;
        Ok(Self { places: places(&folder), folder, db, lock: Some(lock) })
    }

    /// Opens an existing library for reading, beside whoever writes to it.
    pub fn read(folder: &Path) -> Result<Self, LibraryError> {
        if !folder.join(DATABASE).is_file() {
            return Err(LibraryError::NotFound(folder.to_path_buf()));
        }
        let folder = folder.canonicalize().map_err(|e| LibraryError::io(folder, &e))?;
        // Readers of a WAL need its shared memory: on a read-only disk SQLite is told so.
        let db = match reader(&folder, OpenFlags::SQLITE_OPEN_READ_WRITE) {
            Err(LibraryError::Denied { .. }) => reader(&folder, OpenFlags::SQLITE_OPEN_READ_ONLY)?,
            other => other?,
        };
        if schema::version(&db)? < schema::newest() {
            drop(db);
            // Made by an older muster: a writer migrates it, if there is no other just now.
            drop(Self::writer(&folder)?);
            return Self::read(&folder);
        }
        Ok(Self { places: places(&folder), folder, db, lock: None })
    }

    /// The library's folder, absolute.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where its photos are.
    pub fn places(&self) -> &PathMap {
        &self.places
    }

    /// Its database.
    pub fn db(&self) -> &Connection {
        &self.db
    }

    /// Its database, for a transaction.
    pub fn db_mut(&mut self) -> &mut Connection {
        &mut self.db
    }

    /// Whether the last process that wrote to it was killed, or died.
    pub fn interrupted(&self) -> bool {
        self.lock.as_ref().is_some_and(WriterLock::interrupted)
    }

    /// Whether this one may write.
    pub fn is_writer(&self) -> bool {
        self.lock.is_some()
    }

    /// A note that was left in the library, such as the settings it was grouped with.
    pub fn note(&self, name: &str) -> Result<Option<String>, LibraryError> {
        Ok(self.db.query_row("SELECT value FROM meta WHERE name = ?1", [name], |row| row.get(0)).optional()?)
    }

    /// Leaves a note in the library.
    pub fn set_note(&self, name: &str, value: &str) -> Result<(), LibraryError> {
        self.db.execute(
            "INSERT INTO meta (name, value) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET value = ?2 WHERE value <> ?2",
            [name, value],
        )?;
        Ok(())
    }

    /// Bytes of the database and its journal on disk.
    pub fn bytes(&self) -> u64 {
        let size = |name: &str| fs::metadata(self.folder.join(name)).map_or(0, |m| m.len());
        size(DATABASE) + size("library.db-wal")
    }

    /// Moves what is in the journal into the database and empties the journal. `false` while a reader
    /// is in its way.
    pub(crate) fn checkpoint(&self) -> Result<bool, LibraryError> {
        let busy: i64 = self.db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
        Ok(busy == 0)
    }
}

fn connect(folder: &Path, flags: OpenFlags) -> Result<Connection, LibraryError> {
    let path = folder.join(DATABASE);
    let db = Connection::open_with_flags(&path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX).map_err(|e| at(&path, e))?;
    db.busy_timeout(BUSY)?;
    Ok(db)
}

fn writable(folder: &Path) -> Result<Connection, LibraryError> {
    let db = connect(folder, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE)?;
    // Before anything is written into a file that may not be ours.
    schema::version(&db)?;
    db.pragma_update(None, "journal_mode", "WAL")?;
    db.pragma_update(None, "synchronous", "FULL")?;
    db.pragma_update(None, "foreign_keys", true)?;
    // What is deleted is overwritten: see `forget`.
    db.pragma_update(None, "secure_delete", true)?;
    Ok(db)
}

fn reader(folder: &Path, flags: OpenFlags) -> Result<Connection, LibraryError> {
    let db = connect(folder, flags)?;
    db.pragma_update(None, "query_only", true)?;
    // The first read shows whether the journal can be used.
    schema::version(&db).map_err(|error| match error {
        LibraryError::Denied { message, .. } => LibraryError::Denied { path: folder.to_path_buf(), message },
        other => other,
    })?;
    Ok(db)
}

/// SQLite's errors do not say which file.
fn at(path: &Path, error: rusqlite::Error) -> LibraryError {
    match LibraryError::from(error) {
        LibraryError::Denied { message, .. } => LibraryError::Denied { path: path.to_path_buf(), message },
        LibraryError::Io { message, .. } => LibraryError::Io { path: path.to_path_buf(), message },
        other => other,
    }
}

fn places(folder: &Path) -> PathMap {
    let parent = folder.parent().unwrap_or(Path::new("/"));
    // A stage lies in its library, and its photos are those of the library.
    let is_stage = folder.file_name() == Some(OsStr::new(stage::FOLDER)) && is_there(parent);
    let library = if is_stage { parent } else { folder };
    // A library that is the root folder itself has no parent; its photos are named from the root then.
    PathMap::new(library.parent().unwrap_or(Path::new("/")))
}

/// Whether a folder holds a library.
pub fn is_there(folder: &Path) -> bool {
    folder.join(DATABASE).is_file()
}

/// Whether a regular file is the database of a library: by its name, and by its application id, which a
/// SQLite file has in its bytes 68 to 71.
pub(super) fn is_database(path: &Path) -> bool {
    if path.file_name() != Some(OsStr::new(DATABASE)) {
        return false;
    }
    let mut header = [0; 72];
    let read = fs::File::open(path).and_then(|mut file| file.read_exact(&mut header));
    read.is_ok() && header.ends_with(b"MSTR")
}

/// Whether a folder holds anything that no library would hold. One that cannot be looked into may.
fn holds_other_files(folder: &Path) -> bool {
    match fs::read_dir(folder) {
        Ok(mut entries) => {
            let page = folder.join(REPORT);
            let is_known = |path: &Path| path.file_name().is_some_and(is_own) || report::is_folder(&page, path);
            entries.any(|entry| !entry.is_ok_and(|entry| is_known(&entry.path())))
        }
        Err(error) => error.kind() != std::io::ErrorKind::NotFound,
    }
}

/// Whether a file in a library's folder is the library's.
pub(super) fn is_own(name: &OsStr) -> bool {
    name.to_str().is_some_and(|name| name.starts_with(DATABASE) || OWN.contains(&name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_found_from_its_folder_and_from_the_photos() {
        let photos = tempfile::tempdir().unwrap();
        let folder = Library::default_folder(&[photos.path().join("nope.jpg"), photos.path().to_path_buf()]);
        assert_eq!(folder, photos.path().join(".muster"));
        assert!(matches!(Library::find(Some(photos.path())), Err(LibraryError::NotFound(_))));
        drop(Library::create(&folder).unwrap());
        assert_eq!(Library::find(Some(photos.path())).unwrap(), folder);
        assert_eq!(Library::find(Some(&folder)).unwrap(), folder);
    }

    #[test]
    fn lies_in_a_folder_of_its_own_unless_an_older_release_put_it_among_the_photos() {
        let base = tempfile::tempdir().unwrap();
        let photos = base.path().join("photos");
        let (apart, empty, older) = (base.path().join("apart"), base.path().join("empty"), base.path().join("older"));
        [&photos, &empty, &older].iter().for_each(|folder| fs::create_dir(folder).unwrap());
        let paths = std::slice::from_ref(&photos);
        let place = |given: &Path| Library::place(Some(given), paths);
        assert_eq!(place(&photos), photos.join(FOLDER), "it is indexed, and empty as yet");
        fs::write(photos.join("a.jpg"), "x").unwrap();
        assert_eq!(place(&photos), photos.join(FOLDER));
        assert_eq!(place(&photos.join(FOLDER)), photos.join(FOLDER));
        assert_eq!(place(base.path()), base.path().join(FOLDER), "it holds the photos");
        assert_eq!((place(&apart), place(&empty)), (apart, empty.clone()));
        fs::write(empty.join("people.html"), "x").unwrap();
        assert_eq!(place(&empty), empty, "that file is a library's");
        assert_eq!(Library::place(None, paths), photos.join(FOLDER));
        drop(Library::create(&place(&photos)).unwrap());
        assert_eq!(Library::find(Some(&photos)).unwrap(), photos.join(FOLDER));
        // Older releases put it among the photos, where it stays.
        fs::write(older.join("a.jpg"), "x").unwrap();
        drop(Library::create(&older).unwrap());
        let paths = std::slice::from_ref(&older);
        assert_eq!(Library::place(Some(&older), paths), older);
        assert_eq!(Library::place(None, paths), older);
        assert_eq!(Library::find(Some(&older)).unwrap(), older);
        assert!(is_database(&older.join(DATABASE)) && !is_database(&older.join("people.html")));
    }

    #[test]
    fn one_writes_while_others_read() {
        let photos = tempfile::tempdir().unwrap();
        let folder = photos.path().join(FOLDER);
        let writer = Library::create(&folder).unwrap();
        writer.set_note("colour", "blue").unwrap();
        assert!(matches!(Library::open(&folder), Err(LibraryError::Locked { .. })));
        let reader = Library::read(&folder).unwrap();
        assert_eq!(reader.note("colour").unwrap().as_deref(), Some("blue"));
        assert!(reader.set_note("colour", "red").is_err());
    }

    #[test]
    fn a_damaged_or_foreign_file_is_told_apart() {
        let photos = tempfile::tempdir().unwrap();
        let folder = photos.path().join(FOLDER);
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join(DATABASE), "not a database at all, but long enough to be looked at".repeat(40)).unwrap();
        let error = Library::open(&folder).unwrap_err();
        assert!(matches!(error, LibraryError::Corrupt(_)), "{error}");
        assert!(error.to_string().contains(".recover"));
    }
}
