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
        let file = FileState::of(keys.path());
        Self(Mutex::new(ReadKeys { keys: Arc::new(keys), file, looked: Instant::now() }))
    }

    /// Returns the keys of the file as it is now, or was a second ago. Where the file cannot be read, or holds no keys, the
    /// last ones stay: a service never opens because its file is damaged.
    pub(super) fn current(&self) -> Arc<Keys> {
        let mut read = self.0.lock();
        if read.looked.elapsed() >= PERIOD {
            read.looked = Instant::now();
            let file = FileState::of(read.keys.path());
            if file != read.file {
                match Keys::read(read.keys.path()) {
                    Ok(keys) => (read.keys, read.file) = (Arc::new(keys), file),
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
    }
}
