//! A child of the supervisor: how it is started, how it is reached, and how often it died.

use std::collections::VecDeque;

use actix::{Actor, Context, Handler};
use tokio::time::Instant;

use crate::runtime::actor_ref::ActorRef;
use crate::runtime::exit_guard::ExitGuard;
use crate::runtime::heartbeat::Heartbeat;
use crate::runtime::shutdown::{Abort, Shutdown};
use crate::runtime::supervisor_ref::SupervisorRef;

/// The place of a child in a drain: phases end one after another, the lowest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Phase(pub(crate) u8);

/// Whether a child runs, is awaited or has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    Running,
    /// The child died, and another actor will be started.
    Awaited,
    /// The child ended for good.
    Ended,
}

/// The links between an actor and its supervisor, which its factory gets.
pub(crate) struct Supervision {
    pub(crate) guard: ExitGuard,
    pub(crate) heartbeat: Heartbeat,
    pub(crate) supervisor: SupervisorRef,
}

/// The operations on a child that do not depend on the type of its actor.
pub(crate) trait ChildHandle {
    /// Starts an actor and opens its reference.
    fn start(&self, supervisor: SupervisorRef, child: usize, heartbeat: Heartbeat);
    fn shut_down(&self, shutdown: Shutdown);
    fn abort(&self);
    /// Closes the reference, because no actor will follow.
    fn close(&self);
}

/// A function that makes an actor.
type Factory<A> = Box<dyn Fn(Supervision) -> A>;

/// A child whose actor is `A`.
struct SupervisedChild<A: Actor> {
    actor: ActorRef<A>,
    factory: Factory<A>,
}

impl<A> ChildHandle for SupervisedChild<A>
where
    A: Actor<Context = Context<A>> + Handler<Shutdown> + Handler<Abort>,
{
    fn start(&self, supervisor: SupervisorRef, child: usize, heartbeat: Heartbeat) {
        let actor = self.actor.clone();
        let guard = ExitGuard::new(supervisor.clone(), child, Box::new(move || actor.vacate()));
        self.actor.open((self.factory)(Supervision { guard, heartbeat, supervisor }).start());
    }

    fn shut_down(&self, shutdown: Shutdown) {
        // A child that is being restarted is told to end when it has started.
        self.actor.tell(shutdown);
    }

    fn abort(&self) {
        self.actor.tell(Abort);
    }

    fn close(&self) {
        self.actor.close();
    }
}

/// The supervisor's record of a child.
pub(crate) struct Child {
    pub(crate) name: String,
    pub(crate) phase: Phase,
    pub(crate) life: Life,
    pub(crate) heartbeat: Heartbeat,
    pub(crate) deaths: VecDeque<Instant>,
    pub(crate) handle: Box<dyn ChildHandle>,
}

impl Child {
    /// Creates the record of a child that is not started yet. Other actors send to it through
    /// `actor`.
    pub(crate) fn new<A>(
        name: impl Into<String>,
        phase: Phase,
        actor: ActorRef<A>,
        factory: impl Fn(Supervision) -> A + 'static,
    ) -> Self
    where
        A: Actor<Context = Context<A>> + Handler<Shutdown> + Handler<Abort>,
    {
        Self {
            name: name.into(),
            phase,
            life: Life::Awaited,
            heartbeat: Heartbeat::default(),
            deaths: VecDeque::new(),
            handle: Box::new(SupervisedChild { actor, factory: Box::new(factory) }),
        }
    }
}
