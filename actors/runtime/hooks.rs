//! The hooks by which a supervisor tells a run about restarts and drains.

use std::time::Duration;

use crate::domain::exit::Exit;
use crate::runtime::child::Phase;
use crate::runtime::restart::Intensity;

/// The reactions of a run to events of its supervision.
pub(crate) trait RunHooks {
    /// Called when a child crashed and another is about to follow.
    fn restarting(&self, child: &str);
    /// Called when everything that is dropped from now on must be given back at once. `exit` is the exit of the run, if
    /// it is known yet.
    fn hand_back(&self, exit: Option<&Exit>);
    /// Called with the names of the children that had not ended when their time was over.
    fn stragglers(&self, names: Vec<String>);
    /// Called when all time is over: gives up what was not settled, and returns how many that were.
    fn abandon(&self) -> usize;
    /// Returns the final exit of a run that would otherwise end with `exit`.
    fn exit(&self, exit: Exit) -> Exit;
    /// Publishes the progress of the run.
    fn publish(&self);
}

/// The settings of a supervisor.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SupervisorSettings {
    /// How often a child may die.
    pub(crate) intensity: Intensity,
    /// Longest time of one piece of work; a longer one counts as a hang.
    pub(crate) watchdog: Duration,
    /// Time for a drain that follows from a fault.
    pub(crate) drain_deadline: Duration,
    /// Time for a drain that begins because all work is done.
    pub(crate) finish_deadline: Duration,
    /// Interval at which progress is published.
    pub(crate) publish_every: Duration,
    /// Last phase of the children that end all at once when work is handed back, because nothing flows between them any
    /// more.
    pub(crate) together: Phase,
    /// Phase of the children that settle what the others drop; they have all the time of a drain.
    pub(crate) settles: Phase,
}
