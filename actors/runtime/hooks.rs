//! What a supervisor is told about the run that it supervises.

use std::time::Duration;

use crate::domain::exit::Exit;
use crate::runtime::child::Phase;
use crate::runtime::restart::Intensity;

/// What a run does at certain moments of its supervision.
pub(crate) trait RunHooks {
    /// A child crashed, and another is about to follow.
    fn restarting(&self, child: &str);
    /// Whatever is dropped from now on is given back to others at once. The exit of the run, as far as it is known.
    fn hand_back(&self, exit: Option<&Exit>);
    /// These children had not ended when their time was over.
    fn stragglers(&self, names: Vec<String>);
    /// All time is over: forgets what was not settled, and says how much that was.
    fn abandon(&self) -> usize;
    /// The exit of a run that would otherwise end with `exit`.
    fn exit(&self, exit: Exit) -> Exit;
    /// Publishes the progress of the run.
    fn publish(&self);
}

/// How a supervisor behaves.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SupervisorSettings {
    /// How often a child may die.
    pub(crate) intensity: Intensity,
    /// One piece of work that takes longer is a hang.
    pub(crate) watchdog: Duration,
    /// Time for a drain that follows from a fault.
    pub(crate) drain_deadline: Duration,
    /// Time for a drain that begins because all work is done.
    pub(crate) finish_deadline: Duration,
    /// How often progress is published.
    pub(crate) publish_every: Duration,
    /// When work is handed back, all children up to this phase end at once: nothing flows between them any more.
    pub(crate) together: Phase,
    /// Children of this phase settle what the others drop: they have all the time of a drain.
    pub(crate) settles: Phase,
}
