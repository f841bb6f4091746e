//! Decides how many workers a fleet has, submits their jobs, and tries policies in a simulated world.
//!
//! The [`Scaler`] makes a tick again and again:
//!
//! ```text
//! Resting ─tick─► Looking ─told─► Resting ─► …      a Stop ends it, after the look that is on its way
//! ```

pub mod memory;
pub mod policy;
pub mod simulate;
pub mod stuck;
pub mod submitter;
pub mod trace;
pub mod workers;

use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, ActorContext, ActorFutureExt, AsyncContext, Context, Handler, Message, WrapFuture};

use submitter::{LOCK_TIME, ScalerTick, ScalerTickError, Submitter};

/// A function that is called after every tick.
pub type TickListener = Arc<dyn Fn(&Result<ScalerTick, ScalerTickError>) + Send + Sync>;

/// Message from the scaler's own clock.
#[derive(Debug, Message)]
#[rtype(result = "()")]
struct Tick;

/// Message that ends the scaler.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Stop;

/// Scales the workers of one queue.
pub struct Scaler {
    submitter: Submitter,
    every: Duration,
    tell: TickListener,
    looking: bool,
    stopping: bool,
}

impl Scaler {
    /// Creates a scaler that makes a tick at each interval `every`, and calls `tell` after each.
    pub fn new(submitter: Submitter, every: Duration, tell: TickListener) -> Self {
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
        // A tick that is dropped in the middle is completed by the next one.
        let look = async move { tokio::time::timeout(LOCK_TIME, submitter.tick()).await };
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
