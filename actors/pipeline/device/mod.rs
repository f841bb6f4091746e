//! One actor a device: pulls batches, runs them, and answers what the engine says.

pub mod batch_size;

use std::sync::Arc;

use actix::{Actor, ActorFutureExt, AsyncContext, Context, Handler, SpawnHandle, WrapFuture};
use tokio::sync::oneshot;
use tracing::Instrument;

use crate::pipeline::batcher::Pull;
use crate::pipeline::context::{Crew, Leaving, Post, abortable};
use crate::pipeline::device::batch_size::BatchSize;
use crate::pipeline::device::run::{Learnt, Ran, run};
use crate::pipeline::item::Decoded;
use crate::runtime::drain::Mode;

mod run;

/// A device.
pub(crate) struct Device {
    post: Post,
    number: usize,
    learnt: Learnt,
    pulling: Option<SpawnHandle>,
    running: bool,
}

/// Waits for a batch; `None` when there will be no more.
async fn pull(crew: Arc<Crew>, device: usize, want: usize) -> Option<Vec<Decoded>> {
    loop {
        let (reply, batch) = oneshot::channel();
        if crew.batcher.send(Pull { device, want, reply }).await.is_err() {
            return None;
        }
        if let Ok(batch) = batch.await {
            return Some(batch);
        }
        // The Batcher died with our pull: another will stand there soon, or none ever.
        tokio::task::yield_now().await;
    }
}

impl Device {
    pub(crate) fn new(post: Post, number: usize) -> Self {
        let room = post.crew.ports.engines.get(number).and_then(|engine| engine.room());
        let size = BatchSize::new(room, post.crew.settings.batch.count, post.crew.settings.regrow_after);
        Self { post, number, learnt: Learnt { size, good: None }, pulling: None, running: false }
    }

    fn pull(&mut self, ctx: &mut Context<Self>) {
        if self.post.leaving.is_some() {
            self.leave_if_idle(ctx);
            return;
        }
        let pulled = pull(Arc::clone(&self.post.crew), self.number, self.learnt.size.current());
        self.pulling = Some(ctx.spawn(pulled.into_actor(self).map(|batch, device, ctx| {
            device.pulling = None;
            if let Some(batch) = batch {
                device.run(batch, ctx);
            }
            device.leave_if_idle(ctx);
        })));
    }

    fn run(&mut self, batch: Vec<Decoded>, ctx: &mut Context<Self>) {
        self.post.crew.settings.probe.pass(crate::flow::progress::Stage::Device);
        self.running = true;
        let ran = run(Arc::clone(&self.post.crew), self.number, self.post.heart.clone(), self.learnt.clone(), batch);
        ctx.spawn(ran.instrument(tracing::trace_span!("device.run")).into_actor(self).map(|ran, device, ctx| {
            device.running = false;
            match ran {
                Ran::Done(learnt) => {
                    device.learnt = learnt;
                    device.pull(ctx);
                }
                Ran::Retired => device.post.retire(ctx),
                // Wait to be told.
                Ran::Over => device.leave_if_idle(ctx),
            }
        }));
    }

    fn leave_if_idle(&mut self, ctx: &mut Context<Self>) {
        if self.post.leaving.is_some() && !self.running {
            if let Some(pulling) = self.pulling.take() {
                ctx.cancel_future(pulling);
            }
            self.post.stop(ctx);
        }
    }
}

impl Actor for Device {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.pull(ctx);
    }
}

impl Handler<Leaving> for Device {
    type Result = ();

    fn handle(&mut self, Leaving(mode): Leaving, ctx: &mut Self::Context) {
        self.post.leaving = Some(mode);
        if mode == Mode::HandBack {
            // A batch that was handed over and not begun goes back with the pull.
            if let Some(pulling) = self.pulling.take() {
                ctx.cancel_future(pulling);
            }
        }
        self.leave_if_idle(ctx);
    }
}

abortable!(Device);
