//! The Fetcher: it takes credits, receives as many messages as it has credits, parses them, and opens their leases.

mod open;
mod receive;
mod waitlist;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use actix::{Actor, ActorFutureExt, AsyncContext, Context, Handler, Message, SpawnHandle, WrapFuture};

use crate::errors::route::{FatalReason, Terminal};
use crate::flow::retry::GaveUp;
use crate::pipeline::context::ActorBase;
use crate::pipeline::fetcher::receive::{Asking, Opened, poll, too_many_attempts};
use crate::pipeline::fetcher::waitlist::Waitlist;
use crate::pipeline::grouper::Grouper;
use crate::pipeline::item::{Item, Source};
use crate::pipeline::prefilter::Prefilter;
use crate::pipeline::results::ResultSink;
use crate::runtime::actor_ref::ActorRef;
use crate::runtime::shutdown::{Shutdown, abortable};

/// The actors to which a Fetcher sends what it received.
#[derive(Clone)]
pub(crate) enum Forward {
    /// Images go to the Prefilter; those that end at once go to the Writer.
    Images { prefilter: ActorRef<Prefilter>, results: ResultSink },
    /// Galleries go to the Grouper.
    Galleries(ActorRef<Grouper>),
}

/// The first actor of the pipeline.
pub(crate) struct Fetcher {
    base: ActorBase,
    forward: Forward,
    polling: Option<SpawnHandle>,
    asking: Arc<Asking>,
    /// Parts of messages that were received and wait for credits.
    waitlist: Waitlist,
    empty: u32,
}

/// Says that the time is over for which a drain waits for a receive that was on its way.
#[derive(Message)]
#[rtype(result = "()")]
struct GraceOver;

impl Fetcher {
    /// Creates the actor, which sends what it receives to `forward`.
    pub(crate) fn new(base: ActorBase, forward: Forward) -> Self {
        Self { base, forward, polling: None, asking: Arc::default(), waitlist: Waitlist::default(), empty: 0 }
    }

    fn poll(&mut self, ctx: &mut Context<Self>) {
        if self.polling.is_some() || self.base.shutdown.is_some() {
            return;
        }
        let waitlist = std::mem::take(&mut self.waitlist);
        let polled = poll(self.base.tools.clone(), self.forward.clone(), Arc::clone(&self.asking), waitlist);
        self.polling = Some(ctx.spawn(polled.into_actor(self).map(|polled, fetcher, ctx| {
            fetcher.polling = None;
            match polled {
                Ok(opened) => {
                    fetcher.opened(opened, ctx);
                    fetcher.poll(ctx);
                }
                // The run ends, so there is nothing to poll for.
                Err(gave_up) => fetcher.failed(&gave_up),
            }
            fetcher.leave_if_idle(ctx);
        })));
    }

    fn failed(&self, gave_up: &GaveUp) {
        let reason = match gave_up.terminal {
            Terminal::Leave(reason) => reason,
            // Without a queue there is no work, so any other failure of it ends the run as well.
            Terminal::Release | Terminal::Reject | Terminal::Drop | Terminal::Unexpected => FatalReason::DependencyDown,
        };
        self.base.tools.end_run(reason, &gave_up.failure.message);
    }

    fn opened(&mut self, opened: Opened, ctx: &mut Context<Self>) {
        let Opened { items, waitlist, none, finished, released } = opened;
        self.base.probe();
        // A drain begins nothing new: parts that wait are handed back.
        self.waitlist = if self.base.shutdown.is_some() { Waitlist::default() } else { waitlist };
        self.forward(items, ctx);
        if finished && none {
            self.settle_down(released, ctx);
        } else if none {
            self.empty += 1;
            if self.base.context().settings.fetcher.leave_after_empty.is_some_and(|limit| self.empty >= limit) {
                self.settle_down(released, ctx);
            }
        } else {
            self.empty = 0;
        }
    }

    /// Sends items on. Those that were received too often go to the Writer as rejected.
    fn forward(&mut self, items: Vec<Item>, ctx: &mut Context<Self>) {
        let Forward::Images { prefilter, results } = &self.forward else { return };
        if items.is_empty() {
            return;
        }
        let (prefilter, results) = (prefilter.clone(), results.clone());
        let context = Arc::clone(&self.base.tools.context);
        self.base.in_flight += 1;
        let forwarded = async move {
            for item in items {
                if item.suspect && context.is_worn(item.deaths) {
                    let rejection = too_many_attempts(item.deaths, item.receive_count);
                    results.finish(item.rejected(&Source::default(), rejection, &context.settings.model)).await;
                } else {
                    prefilter.send_or_release(item).await;
                }
            }
        };
        ctx.spawn(forwarded.into_actor(self).map(|(), fetcher, ctx| {
            fetcher.base.in_flight -= 1;
            fetcher.leave_if_idle(ctx);
        }));
    }

    /// Waits until all work is settled after the queue said that nothing more comes. If no message was given back
    /// meanwhile, all work is done.
    fn settle_down(&mut self, released: u64, ctx: &mut Context<Self>) {
        let context = Arc::clone(&self.base.tools.context);
        let settled = async move {
            loop {
                let left = context.leases.left.notified();
                if context.leases.is_empty() {
                    return context.leases.released() == released;
                }
                left.await;
            }
        };
        self.polling = Some(ctx.spawn(settled.into_actor(self).map(|all, fetcher, ctx| {
            fetcher.polling = None;
            if all && fetcher.base.shutdown.is_none() {
                fetcher.base.tools.all_done();
            } else {
                fetcher.poll(ctx);
            }
            fetcher.leave_if_idle(ctx);
        })));
    }

    fn stop_polling(&mut self, ctx: &mut Context<Self>) {
        if let Some(polling) = self.polling.take() {
            ctx.cancel_future(polling);
        }
        self.leave_if_idle(ctx);
    }

    fn leave_if_idle(&mut self, ctx: &mut Context<Self>) {
        if self.base.shutdown.is_some() && self.polling.is_none() && self.base.in_flight == 0 {
            self.base.stop(ctx);
        }
    }
}

impl Actor for Fetcher {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.poll(ctx);
    }
}

impl Handler<Shutdown> for Fetcher {
    type Result = ();

    fn handle(&mut self, Shutdown(mode): Shutdown, ctx: &mut Self::Context) {
        self.base.shutdown = Some(mode);
        self.asking.over.store(true, Ordering::Relaxed);
        if self.asking.now.load(Ordering::Relaxed) {
            ctx.notify_later(GraceOver, self.base.context().settings.fetcher.grace);
        } else {
            self.stop_polling(ctx);
        }
    }
}

impl Handler<GraceOver> for Fetcher {
    type Result = ();

    fn handle(&mut self, _: GraceOver, ctx: &mut Self::Context) {
        self.stop_polling(ctx);
    }
}

abortable!(Fetcher);
