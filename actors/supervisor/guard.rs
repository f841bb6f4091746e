//! The guard that is dropped with an actor, and tells its supervisor how the actor ended.

use crate::outlet::Outlet;
use crate::supervisor::{Exited, Supervisor};

/// Dropped with the actor. Unless the actor said that it has drained, it crashed.
pub(crate) struct ExitGuard {
    supervisor: Outlet<Supervisor>,
    child: usize,
    drained: bool,
    vacate: Box<dyn Fn() + Send>,
}

impl ExitGuard {
    /// A guard for child number `child`; `vacate` empties the outlet it stands behind.
    pub(crate) fn new(supervisor: Outlet<Supervisor>, child: usize, vacate: Box<dyn Fn() + Send>) -> Self {
        Self { supervisor, child, drained: false, vacate }
    }

    /// The actor has nothing left to do and stops.
    pub(crate) fn drained(&mut self) {
        self.drained = true;
    }
}

impl Drop for ExitGuard {
    fn drop(&mut self) {
        (self.vacate)();
        // Without a supervisor there is nobody to tell.
        let _ = self.supervisor.tell(Exited { child: self.child, drained: self.drained });
    }
}
