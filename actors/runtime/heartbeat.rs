//! The heartbeat of an actor: the bounded pieces of work that it has begun and not ended.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::time::Instant;

#[derive(Debug, Default)]
struct Work {
    next: u64,
    begun: BTreeMap<u64, Instant>,
}

/// Shows the watchdog whether an actor makes progress. It survives a restart of its actor.
#[derive(Clone, Debug, Default)]
pub(crate) struct Heartbeat(Arc<Mutex<Work>>);

impl Heartbeat {
    /// Begins a piece of work that must end within the watchdog's limit. It ends when the guard is dropped.
    pub(crate) fn busy(&self) -> BusyGuard {
        let mut work = self.0.lock();
        let id = work.next;
        work.next += 1;
        work.begun.insert(id, Instant::now());
        BusyGuard { heartbeat: self.clone(), id }
    }

    /// Returns when the oldest piece of work that has not ended was begun.
    pub(crate) fn oldest(&self) -> Option<Instant> {
        self.0.lock().begun.values().next().copied()
    }
}

/// A guard of a piece of work, which ends when the guard is dropped.
#[derive(Debug)]
pub(crate) struct BusyGuard {
    heartbeat: Heartbeat,
    id: u64,
}

impl Drop for BusyGuard {
    fn drop(&mut self) {
        self.heartbeat.0.lock().begun.remove(&self.id);
    }
}
