//! The API keys of a running service, which follow their file: a key that is added works, and one that is removed does
//! not, without a restart.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::keys::Keys;

/// Time between two looks at the file.
const PERIOD: Duration = Duration::from_secs(1);

/// Keys with the state of their file when they were read.
pub(super) struct WatchedKeys(Mutex<ReadKeys>);

struct ReadKeys {
    keys: Arc<Keys>,
    /// Whether there ever was a key: a service that had one never opens again.
    is_keyed: bool,
    file: Option<FileState>,
    looked: Instant,
}

/// By which a file that was changed, or replaced by another, is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileState {
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
}

impl FileState {
    fn of(path: &Path) -> Option<Self> {
        let file = fs::metadata(path).ok()?;
        Some(Self { inode: file.ino(), bytes: file.len(), modified: (file.mtime(), file.mtime_nsec()) })
    }
}

impl WatchedKeys {
    /// Takes keys that were just read.
    pub(super) fn new(keys: Keys) -> Self {
        let (file, is_keyed) = (keys.file().and_then(FileState::of), !keys.list().is_empty());
        Self(Mutex::new(ReadKeys { keys: Arc::new(keys), is_keyed, file, looked: Instant::now() }))
    }

    /// Tells whether callers need a key: there is one, or there was one since the service started.
    pub(super) fn is_keyed(&self) -> bool {
        self.current();
        self.0.lock().is_keyed
    }

    /// Returns the keys of the file as it is now, or was a second ago. Where the file is gone or damaged, the last ones
    /// stay.
    pub(super) fn current(&self) -> Arc<Keys> {
        let mut read = self.0.lock();
        if read.looked.elapsed() >= PERIOD {
            read.looked = Instant::now();
            let path = read.keys.file().map(Path::to_owned);
            let file = path.as_deref().and_then(FileState::of);
            if let Some(path) = path.filter(|_| file.is_some() && file != read.file) {
                match Keys::read(&path) {
                    Ok(keys) => {
                        read.is_keyed |= !keys.list().is_empty();
                        (read.keys, read.file) = (Arc::new(keys), file);
                    }
                    Err(error) => tracing::warn!(%error, "serve.keys: the keys before stay in force"),
                }
            }
        }
        Arc::clone(&read.keys)
    }
}

#[cfg(test)]
mod tests {
    use super::super::keys::Role;
    use super::*;

    /// As if the last look was a while ago.
    fn later(watched: &WatchedKeys) -> Arc<Keys> {
        watched.0.lock().looked = Instant::now().checked_sub(PERIOD).unwrap();
        watched.current()
    }

    #[test]
    fn keys_follow_their_file_and_a_damaged_one_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.json");
        let watched = WatchedKeys::new(Keys::read(&path).unwrap());
        assert!(later(&watched).list().is_empty());
        let mut file = Keys::read(&path).unwrap();
        let key = file.add("phone", Role::Read).unwrap();
        assert!(later(&watched).owner(&key).is_some(), "the first key closes the service");
        let other = file.add("tablet", Role::Read).unwrap();
        file.remove("phone").unwrap();
        let now = later(&watched);
        assert!(now.owner(&key).is_none() && now.owner(&other).is_some());
        fs::write(&path, "{").unwrap();
        assert!(later(&watched).owner(&other).is_some());
        fs::remove_file(&path).unwrap();
        assert!(later(&watched).owner(&other).is_some(), "a file that is gone opens nothing");
        fs::write(&path, "[]").unwrap();
        assert!(later(&watched).list().is_empty() && watched.is_keyed(), "nor does one without keys");
    }

    #[test]
    fn keys_that_came_from_elsewhere_follow_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("MUSTER_API_KEYS");
        let watched = WatchedKeys::new(Keys::parse(&path, b"[]").unwrap());
        let key = Keys::read(&path).unwrap().add("intruder", Role::Admin).unwrap();
        assert!(later(&watched).owner(&key).is_none());
    }
}
