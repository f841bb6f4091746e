//! The reference to the supervisor, and the messages that it receives.

use actix::Message;

use crate::domain::exit::Exit;
use crate::runtime::actor_ref::ActorRef;
use crate::runtime::exit_guard::ActorExit;
use crate::runtime::supervisor::Supervisor;

/// A guard's message that the actor of a child is gone.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Exited {
    pub(crate) child: usize,
    pub(crate) ending: ActorExit,
}

/// The message that the run must end, with the reason; actors and monitors of the run send it.
#[derive(Clone, Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Fault(pub(crate) Exit);

/// An actor's message that all work is done and settled.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct AllDone;

/// A reference to the supervisor. When it is closed the run has ended, and messages are dropped.
#[derive(Clone, Default)]
pub(crate) struct SupervisorRef(pub(super) ActorRef<Supervisor>);

impl SupervisorRef {
    /// Asks for the end of the run, with the reason.
    pub(crate) fn fault(&self, exit: Exit) {
        self.0.tell(Fault(exit));
    }

    /// Reports that all work is done and settled.
    pub(crate) fn all_done(&self) {
        self.0.tell(AllDone);
    }

    /// Reports that the actor of a child is gone.
    pub(crate) fn exited(&self, exited: Exited) {
        self.0.tell(exited);
    }
}
