//! `muster index --watch` waits until photos have changed and are quiet again.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use notify::{Event, EventKind, RecursiveMode, Watcher};

use crate::cli::CliError;
use crate::cli::signal::Signals;

/// Time without writes after which a copy counts as complete.
const QUIET: Duration = Duration::from_secs(2);
const LOOK_UP: Duration = Duration::from_millis(200);

/// Watches for changes below some folders.
pub struct FolderWatcher {
    events: Receiver<notify::Result<Event>>,
    library: PathBuf,
    watcher: notify::RecommendedWatcher,
    folders: Vec<WatchedFolder>,
}

/// A folder that is watched while it exists. No event reports that a disk was mounted or unmounted there,
/// so its identity is compared.
struct WatchedFolder {
    path: PathBuf,
    /// Device and number, where it is there.
    identity: Option<(u64, u64)>,
}

impl FolderWatcher {
    /// Watches `paths` with everything below them, except `library`.
    pub fn watch(paths: &[PathBuf], library: &Path) -> Result<Self, CliError> {
        let (send, events) = channel();
        let watcher = notify::recommended_watcher(send).map_err(|error| fault(&error))?;
        let library = library.canonicalize()?;
        let folders = paths.iter().map(|path| WatchedFolder { path: path.clone(), identity: None }).collect();
        let mut changes = Self { events, library, watcher, folders };
        changes.look()?;
        Ok(changes)
    }

    /// Watches the folders whose identity has changed, and tells whether there are any.
    fn look(&mut self) -> Result<bool, CliError> {
        let mut changed = false;
        for folder in &mut self.folders {
            let identity = identity(&folder.path);
            if identity == folder.identity {
                continue;
            }
            (changed, folder.identity) = (true, identity);
            // Nobody watches it if it was gone.
            let _ = self.watcher.unwatch(&folder.path);
            if identity.is_some() {
                self.watcher.watch(&folder.path, RecursiveMode::Recursive).map_err(|error| fault(&error))?;
            }
        }
        Ok(changed)
    }

    /// Waits for a change and the quiet after it. `false` when somebody asked to stop.
    pub fn wait(&mut self, signals: &Signals) -> Result<bool, CliError> {
        let mut changed = false;
        let (mut quiet, mut looked) = (Duration::ZERO, Instant::now());
        while !signals.is_asked() {
            match self.events.recv_timeout(LOOK_UP) {
                Ok(event) if counts(&event, &self.library) => (changed, quiet) = (true, Duration::ZERO),
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) => quiet += LOOK_UP,
                Err(RecvTimeoutError::Disconnected) => return Ok(false),
            }
            if looked.elapsed() >= QUIET {
                looked = Instant::now();
                changed |= self.look()?;
            }
            if changed && quiet >= QUIET {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    std::fs::metadata(path).map(|metadata| (metadata.dev(), metadata.ino())).ok()
}

fn fault(error: &notify::Error) -> CliError {
    CliError::Usage(format!("cannot watch for changes: {error} (raise fs.inotify.max_user_watches?)"))
}

/// Whether an event may mean other photos. A lost event counts: the scan finds out.
fn counts(event: &notify::Result<Event>, library: &Path) -> bool {
    match event {
        Err(_) => true,
        Ok(event) => {
            !matches!(event.kind, EventKind::Access(_))
                && (event.paths.is_empty() || !event.paths.iter().all(|path| path.starts_with(library)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use notify::event::{AccessKind, CreateKind};

    #[test]
    fn reads_and_the_library_itself_do_not_count() {
        let library = Path::new("/p/.muster");
        let event = |kind, path: &str| Ok(Event::new(kind).add_path(path.into()));
        let create = EventKind::Create(CreateKind::File);
        assert!(counts(&event(create, "/p/a.jpg"), library));
        assert!(!counts(&event(create, "/p/.muster/library.db-wal"), library));
        assert!(!counts(&event(EventKind::Access(AccessKind::Any), "/p/a.jpg"), library));
    }

    #[test]
    fn a_folder_that_goes_and_comes_back_is_noticed() {
        let base = tempfile::tempdir().unwrap();
        let (disk, away) = (base.path().join("disk"), base.path().join("away"));
        std::fs::create_dir(&disk).unwrap();
        let mut changes = FolderWatcher::watch(std::slice::from_ref(&disk), base.path()).unwrap();
        assert!(!changes.look().unwrap());
        std::fs::rename(&disk, &away).unwrap();
        assert!(changes.look().unwrap() && !changes.look().unwrap());
        // As where a disk was mounted: another folder at the same place.
        std::fs::create_dir(&disk).unwrap();
        assert!(changes.look().unwrap() && !changes.look().unwrap());
        let _ = std::iter::from_fn(|| changes.events.try_recv().ok()).count();
        std::fs::write(disk.join("a.jpg"), "x").unwrap();
        assert!(changes.events.recv_timeout(Duration::from_secs(60)).is_ok(), "the new one is watched");
    }
}
