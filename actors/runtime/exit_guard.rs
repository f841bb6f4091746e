//! The guard that is dropped with an actor, and reports to its supervisor how the actor ended.

use crate::runtime::supervisor_ref::{Exited, SupervisorRef};

/// The way in which an actor ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ActorExit {
    /// The actor died.
    Crashed,
    /// The actor was told to end, and had nothing left to do.
    Drained,
    /// The actor ended itself for good; the run goes on without it.
    Retired,
}

/// Reports the end of an actor when it is dropped. Unless the actor has set another way, it counts as crashed.
pub(crate) struct ExitGuard {
    supervisor: SupervisorRef,
    child: usize,
    ending: ActorExit,
    vacate: Box<dyn Fn() + Send>,
}

impl ExitGuard {
    /// Creates a guard for child number `child`; `vacate` empties the reference to its actor.
    pub(crate) fn new(supervisor: SupervisorRef, child: usize, vacate: Box<dyn Fn() + Send>) -> Self {
        Self { supervisor, child, ending: ActorExit::Crashed, vacate }
    }

    /// Records that the actor has nothing left to do and stops.
    pub(crate) fn drained(&mut self) {
        self.ending = ActorExit::Drained;
    }

    /// Records that the actor stops and none follows it.
    pub(crate) fn retired(&mut self) {
        self.ending = ActorExit::Retired;
    }
}

impl Drop for ExitGuard {
    fn drop(&mut self) {
        (self.vacate)();
        self.supervisor.exited(Exited { child: self.child, ending: self.ending });
    }
}
