//! A child: how to start it, how to reach it, how often it died.

use std::collections::VecDeque;

use actix::{Actor, Context, Handler};
use tokio::time::Instant;

use crate::pipeline::context::{Abort, Leaving};
use crate::runtime::actor_ref::Outlet;
use crate::runtime::exit_guard::ExitGuard;
use crate::runtime::heartbeat::Heart;
use crate::runtime::supervisor::Supervisor;

/// Where in the pipeline a child works: a drain goes front to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    Fetch,
    Prefilter,
    Download,
    Batch,
    Device,
    Write,
    Group,
    Keep,
}

impl Phase {
    /// Front to end.
    pub(crate) const ALL: [Self; 8] =
        [Self::Fetch, Self::Prefilter, Self::Download, Self::Batch, Self::Device, Self::Write, Self::Group, Self::Keep];
}

/// Whether a child lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    Running,
    /// Died; another will be started.
    Awaited,
    /// Ended for good.
    Ended,
}

/// The typed half of a child.
pub(crate) trait Body {
    /// Starts an actor and opens its outlet.
    fn start(&self, supervisor: Outlet<Supervisor>, child: usize, heart: Heart);
    fn leave(&self, leaving: Leaving);
    fn abort(&self);
    /// Nobody will ever stand here again.
    fn close(&self);
}

/// Makes the actor from its guard and its heart.
type Factory<A> = Box<dyn Fn(ExitGuard, Heart) -> A>;

/// A child whose actor is `A`.
pub(crate) struct Seat<A: Actor> {
    outlet: Outlet<A>,
    factory: Factory<A>,
}

impl<A> Body for Seat<A>
where
    A: Actor<Context = Context<A>> + Handler<Leaving> + Handler<Abort>,
{
    fn start(&self, supervisor: Outlet<Supervisor>, child: usize, heart: Heart) {
        let outlet = self.outlet.clone();
        let guard = ExitGuard::new(supervisor, child, Box::new(move || outlet.empty()));
        self.outlet.open((self.factory)(guard, heart).start());
    }

    fn leave(&self, leaving: Leaving) {
        // Nobody there: the child is told when it was started again.
        let _ = self.outlet.tell(leaving);
    }

    fn abort(&self) {
        let _ = self.outlet.tell(Abort);
    }

    fn close(&self) {
        self.outlet.close();
    }
}

/// A child as its supervisor sees it.
pub(crate) struct Child {
    pub(crate) name: String,
    pub(crate) phase: Phase,
    pub(crate) life: Life,
    pub(crate) heart: Heart,
    pub(crate) deaths: VecDeque<Instant>,
    pub(crate) body: Box<dyn Body>,
}

impl Child {
    /// A child that is not started yet.
    pub(crate) fn new<A>(
        name: impl Into<String>,
        phase: Phase,
        outlet: Outlet<A>,
        factory: impl Fn(ExitGuard, Heart) -> A + 'static,
    ) -> Self
    where
        A: Actor<Context = Context<A>> + Handler<Leaving> + Handler<Abort>,
    {
        Self {
            name: name.into(),
            phase,
            life: Life::Awaited,
            heart: Heart::default(),
            deaths: VecDeque::new(),
            body: Box::new(Seat { outlet, factory: Box::new(factory) }),
        }
    }
}
