//! `muster index --watch`: waits until photos change and are quiet again.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use notify::{Event, EventKind, RecursiveMode, Watcher};

use crate::cli::CliError;
use crate::cli::signal::Signals;

/// A copy in progress is left alone until nothing was written for so long.
const QUIET: Duration = Duration::from_secs(2);
const LOOK_UP: Duration = Duration::from_millis(200);

/// Changes below some folders.
pub struct Changes {
    events: Receiver<notify::Result<Event>>,
    library: PathBuf,
    _watcher: notify::RecommendedWatcher,
}

impl Changes {
    /// Watches `paths` with everything below them; what happens in `library` does not count.
    pub fn watch(paths: &[PathBuf], library: &Path) -> Result<Self, CliError> {
        let fault = |error: notify::Error| {
            CliError::Usage(format!("cannot watch for changes: {error} (raise fs.inotify.max_user_watches?)"))
        };
        let (send, events) = channel();
        let mut watcher = notify::recommended_watcher(send).map_err(fault)?;
        for path in paths {
            watcher.watch(path, RecursiveMode::Recursive).map_err(fault)?;
        }
        let library = library.canonicalize()?;
        Ok(Self { events, library, _watcher: watcher })
    }

    /// Waits for a change and the quiet after it. `false` when somebody asked to stop.
    pub fn wait(&mut self, signals: &Signals) -> bool {
        let mut changed = false;
        let mut quiet = Duration::ZERO;
        while !signals.is_asked() {
            match self.events.recv_timeout(LOOK_UP) {
                Ok(event) if counts(&event, &self.library) => (changed, quiet) = (true, Duration::ZERO),
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) => quiet += LOOK_UP,
                Err(RecvTimeoutError::Disconnected) => return false,
            }
            if changed && quiet >= QUIET {
                return true;
            }
        }
        false
    }
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
}
