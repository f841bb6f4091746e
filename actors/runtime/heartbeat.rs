//! The heartbeat of an actor: which bounded pieces of work it has begun and not ended.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use tokio::time::Instant;

#[derive(Debug, Default)]
struct Work {
    next: u64,
    begun: BTreeMap<u64, Instant>,
}

/// What the watchdog looks at. Survives a restart of its actor.
#[derive(Clone, Debug, Default)]
pub(crate) struct Heart(Arc<Mutex<Work>>);

impl Heart {
    fn lock(&self) -> MutexGuard<'_, Work> {
        self.0.lock()
    }

    /// A piece of work that must end before the watchdog barks; ended when the guard is dropped.
    pub(crate) fn busy(&self) -> Busy {
        let mut work = self.lock();
        let id = work.next;
        work.next += 1;
        work.begun.insert(id, Instant::now());
        Busy { heart: self.clone(), id }
    }

    /// When the oldest piece of work that has not ended was begun.
    pub(crate) fn oldest(&self) -> Option<Instant> {
        self.lock().begun.values().next().copied()
    }
}

/// A piece of work.
#[derive(Debug)]
pub(crate) struct Busy {
    heart: Heart,
    id: u64,
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.heart.lock().begun.remove(&self.id);
    }
}
