//! How many workers a fleet has: decided, done, and tried out in a simulated world.
//!
//! The [`Scaler`] looks at its queue and its fleet again and again:
//!
//! ```text
//! Resting ─tick─► Looking ─told─► Resting ─► …      a Stop ends it, after the look that is on its way
//! ```

pub mod flight;
pub mod memory;
pub mod policy;
pub mod simulate;
pub mod stuck;
pub mod trace;
pub mod workers;

use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, ActorContext, ActorFutureExt, AsyncContext, Context, Handler, Message, WrapFuture};

use flight::{FLIGHT, Look, LookError, Submitter};

/// Hears of every look.
pub type Tell = Arc<dyn Fn(&Result<Look, LookError>) + Send + Sync>;

/// From its own clock: look.
#[derive(Debug, Message)]
#[rtype(result = "()")]
struct Tick;

/// From the command line: end.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Stop;

/// Scales the workers of one queue.
pub struct Scaler {
    submitter: Submitter,
    every: Duration,
    tell: Tell,
    looking: bool,
    stopping: bool,
}

impl Scaler {
    /// Looks every so often, and tells of each look.
    pub fn new(submitter: Submitter, every: Duration, tell: Tell) -> Self {
        Self { submitter, every, tell, looking: false, stopping: false }
    }
}

impl Actor for Scaler {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.notify(Tick);
    }
}

impl Handler<Tick> for Scaler {
    type Result = ();

    fn handle(&mut self, Tick: Tick, ctx: &mut Self::Context) {
        self.looking = true;
        let submitter = self.submitter.clone();
        // What is dropped in the middle is found by the next look.
        let look = async move { tokio::time::timeout(FLIGHT, submitter.tick()).await };
        ctx.spawn(look.into_actor(self).map(|looked, scaler, ctx| {
            scaler.looking = false;
            match looked {
                Ok(looked) => (scaler.tell)(&looked),
                Err(_) => tracing::warn!("scaler.too_long"),
            }
            if scaler.stopping {
                ctx.stop();
            } else {
                ctx.notify_later(Tick, scaler.every);
            }
        }));
    }
}

impl Handler<Stop> for Scaler {
    type Result = ();

    fn handle(&mut self, Stop: Stop, ctx: &mut Self::Context) {
        self.stopping = true;
        if !self.looking {
            ctx.stop();
        }
    }
}
