//! The way to the supervisor, and what it is told.

use actix::Message;

use crate::domain::exit::Exit;
use crate::runtime::actor_ref::ActorRef;
use crate::runtime::exit_guard::ActorExit;
use crate::runtime::supervisor::Supervisor;

/// From a guard: the actor of a child is gone.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Exited {
    pub(crate) child: usize,
    pub(crate) ending: ActorExit,
}

/// From an actor, or from what watches the run: the run must end, and this is why.
#[derive(Clone, Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Fault(pub(crate) Exit);

/// From an actor: all work is done and settled.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct AllDone;

/// Refers to the supervisor. Without one the run has ended already, and there is nobody to tell.
#[derive(Clone, Default)]
pub(crate) struct SupervisorRef(pub(super) ActorRef<Supervisor>);

impl SupervisorRef {
    /// Asks for the end of the run, and says why.
    pub(crate) fn fault(&self, exit: Exit) {
        self.0.tell(Fault(exit));
    }

    /// Says that all work is done and settled.
    pub(crate) fn all_done(&self) {
        self.0.tell(AllDone);
    }

    /// Says that the actor of a child is gone.
    pub(crate) fn exited(&self, exited: Exited) {
        self.0.tell(exited);
    }
}
