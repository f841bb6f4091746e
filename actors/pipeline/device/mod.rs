//! The Device actor: it pulls batches, runs them on an engine and deals with what the engine
//! answers.

mod batch_size;

use actix::{Actor, ActorFutureExt, AsyncContext, Context, Handler, SpawnHandle, WrapFuture};
use tokio::sync::oneshot;
use tracing::Instrument;

use crate::pipeline::batcher::{Batcher, Pull};
use crate::pipeline::context::ActorBase;
use crate::pipeline::device::batch_size::BatchSize;
use crate::pipeline::device::run::{Learnt, Links, Ran, run};
use crate::pipeline::item::Decoded;
use crate::pipeline::results::ResultSink;
use crate::runtime::actor_ref::ActorRef;
use crate::runtime::drain::Mode;
use crate::runtime::shutdown::{Shutdown, abortable};

mod run;
mod trouble;

/// One device.
pub(crate) struct Device {
    base: ActorBase,
    links: Links,
    learnt: Learnt,
    pulling: Option<SpawnHandle>,
    running: bool,
}

/// Waits for a batch from the Batcher; `None` when there will be no more.
async fn pull(batcher: ActorRef<Batcher>, device: usize, want: usize) -> Option<Vec<Decoded>> {
    loop {
        let (reply, batch) = oneshot::channel();
        if batcher.send(Pull { device, want, reply }).await.is_err() {
            return None;
        }
        if let Ok(batch) = batch.await {
            return Some(batch);
        }
        // The Batcher died with the request. Either another one starts soon, or none ever will.
        tokio::task::yield_now().await;
    }
}

impl Device {
    /// Creates the actor of device `number`. It pulls from the Batcher, returns to it what it
    /// cannot run, and sends results to the Writer.
    pub(crate) fn new(base: ActorBase, number: usize, batcher: ActorRef<Batcher>, results: ResultSink) -> Self {
        let room = base.context().ports.engines.get(number).and_then(|engine| engine.max_batch_size());
        let size = BatchSize::new(room, base.context().settings.batch.count, base.context().settings.regrow_after);
        let links = Links { tools: base.tools.clone(), number, batcher, results };
        Self { base, links, learnt: Learnt { size, good: None }, pulling: None, running: false }
    }

    fn pull(&mut self, ctx: &mut Context<Self>) {
        if self.base.shutdown.is_some() {
            self.leave_if_idle(ctx);
            return;
        }
        let pulled = pull(self.links.batcher.clone(), self.links.number, self.learnt.size.current());
        self.pulling = Some(ctx.spawn(pulled.into_actor(self).map(|batch, device, ctx| {
            device.pulling = None;
            if let Some(batch) = batch {
                device.run(batch, ctx);
            }
            device.leave_if_idle(ctx);
        })));
    }

    fn run(&mut self, batch: Vec<Decoded>, ctx: &mut Context<Self>) {
        self.base.probe();
        self.running = true;
        let ran = run(self.links.clone(), self.learnt.clone(), batch);
        ctx.spawn(ran.instrument(tracing::trace_span!("device.run")).into_actor(self).map(|ran, device, ctx| {
            device.running = false;
            match ran {
                Ran::Done(learnt) => {
                    device.learnt = learnt;
                    device.pull(ctx);
                }
                Ran::Retired => device.base.retire(ctx),
                // No batch will come; the actor waits until it is told to end.
                Ran::Over => device.leave_if_idle(ctx),
            }
        }));
    }

    fn leave_if_idle(&mut self, ctx: &mut Context<Self>) {
        if self.base.shutdown.is_some() && !self.running {
            if let Some(pulling) = self.pulling.take() {
                ctx.cancel_future(pulling);
            }
            self.base.stop(ctx);
        }
    }
}

impl Actor for Device {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.pull(ctx);
    }
}

impl Handler<Shutdown> for Device {
    type Result = ();

    fn handle(&mut self, Shutdown(mode): Shutdown, ctx: &mut Self::Context) {
        self.base.shutdown = Some(mode);
        if mode == Mode::HandBack {
            // A batch that was handed over and has not begun is returned with the pull.
            if let Some(pulling) = self.pulling.take() {
                ctx.cancel_future(pulling);
            }
        }
        self.leave_if_idle(ctx);
    }
}

abortable!(Device);
