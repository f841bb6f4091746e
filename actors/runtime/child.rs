//! A child: how it is started, how it is reached, and how often it died.

use std::collections::VecDeque;

use actix::{Actor, Context, Handler};
use tokio::time::Instant;

use crate::runtime::actor_ref::ActorRef;
use crate::runtime::exit_guard::ExitGuard;
use crate::runtime::heartbeat::Heartbeat;
use crate::runtime::shutdown::{Abort, Shutdown};
use crate::runtime::supervisor_ref::SupervisorRef;

/// When a child ends in a drain: phases end one after another, the lowest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Phase(pub(crate) u8);

/// Whether a child lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    Running,
    /// It died; another will be started.
    Awaited,
    /// It ended for good.
    Ended,
}

/// What ties an actor to its supervisor.
pub(crate) struct Supervision {
    pub(crate) guard: ExitGuard,
    pub(crate) heartbeat: Heartbeat,
    pub(crate) supervisor: SupervisorRef,
}

/// A child, whatever the type of its actor.
pub(crate) trait ChildHandle {
    /// Starts an actor and opens its reference.
    fn start(&self, supervisor: SupervisorRef, child: usize, heartbeat: Heartbeat);
    fn shut_down(&self, shutdown: Shutdown);
    fn abort(&self);
    /// No actor will follow.
    fn close(&self);
}

/// Makes an actor.
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
        // A child that is being restarted is told when it has started.
        self.actor.tell(shutdown);
    }

    fn abort(&self) {
        self.actor.tell(Abort);
    }

    fn close(&self) {
        self.actor.close();
    }
}

/// A child as its supervisor sees it.
pub(crate) struct Child {
    pub(crate) name: String,
    pub(crate) phase: Phase,
    pub(crate) life: Life,
    pub(crate) heartbeat: Heartbeat,
    pub(crate) deaths: VecDeque<Instant>,
    pub(crate) handle: Box<dyn ChildHandle>,
}

impl Child {
    /// A child that is not started yet. Others reach its actor through `actor`.
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
