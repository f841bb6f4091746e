//! The queue of decoded images from which the devices pull their batches.

pub mod plan;

use std::collections::{BTreeSet, VecDeque};

use actix::{Actor, AsyncContext, Context, Handler, Message, SpawnHandle};
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::flow::progress::Stage;
use crate::pipeline::batcher::plan::{Candidate, Plan, plan};
use crate::pipeline::context::ActorBase;
use crate::pipeline::item::Decoded;
use crate::runtime::drain::Mode;
use crate::runtime::shutdown::{Shutdown, abortable};

/// A request of a free device for up to `want` images.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Pull {
    pub(crate) device: usize,
    pub(crate) want: usize,
    pub(crate) reply: oneshot::Sender<Vec<Decoded>>,
}

/// The images that a retiring device held, for the other devices.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Return {
    pub(crate) device: usize,
    pub(crate) batch: Vec<Decoded>,
}

/// The actor with the queue in front of the devices.
pub(crate) struct Batcher {
    base: ActorBase,
    queue: VecDeque<Decoded>,
    pulls: VecDeque<Pull>,
    /// Devices that have a batch, which they may still return.
    busy: BTreeSet<usize>,
    alarm: Option<SpawnHandle>,
}

impl Batcher {
    pub(crate) fn new(base: ActorBase) -> Self {
        Self { base, queue: VecDeque::new(), pulls: VecDeque::new(), busy: BTreeSet::new(), alarm: None }
    }

    fn pump(&mut self, ctx: &mut Context<Self>) {
        if let Some(alarm) = self.alarm.take() {
            ctx.cancel_future(alarm);
        }
        let limits = self.base.context().settings.batch;
        while let Some(pull) = self.pulls.pop_front() {
            if pull.reply.is_closed() {
                continue;
            }
            let now = Instant::now();
            let candidates = self.queue.iter().map(|decoded| Candidate {
                pixels: u64::from(decoded.frame.pixels.width) * u64::from(decoded.frame.pixels.height),
                suspect: decoded.item.suspect,
                waited: now - decoded.since,
            });
            match plan(candidates, &limits, pull.want, self.base.shutdown.is_some()) {
                Plan::Take(count) => {
                    let batch: Vec<Decoded> = self.queue.drain(..count).collect();
                    match pull.reply.send(batch) {
                        Ok(()) => drop(self.busy.insert(pull.device)),
                        // The device died meanwhile.
                        Err(back) => self.put_back(back),
                    }
                }
                Plan::Wait(wait) => {
                    self.pulls.push_front(pull);
                    self.alarm = Some(ctx.run_later(wait, |batcher, ctx| {
                        batcher.alarm = None;
                        batcher.pump(ctx);
                    }));
                    break;
                }
                Plan::Empty => {
                    self.pulls.push_front(pull);
                    break;
                }
            }
        }
        self.base.context().stats.waiting(Stage::Batcher, self.queue.len());
        self.leave_if_idle(ctx);
    }

    /// Puts images back at the head of the queue, in their order.
    fn put_back(&mut self, batch: Vec<Decoded>) {
        batch.into_iter().rev().for_each(|decoded| self.queue.push_front(decoded));
    }

    fn leave_if_idle(&mut self, ctx: &mut Context<Self>) {
        match self.base.shutdown {
            Some(Mode::Finish) if self.queue.is_empty() && self.busy.is_empty() => self.base.stop(ctx),
            // The queue is dropped, which releases its images.
            Some(Mode::HandBack) => self.base.stop(ctx),
            Some(Mode::Finish) | None => {}
        }
    }
}

impl Actor for Batcher {
    type Context = Context<Self>;
}

impl Handler<Decoded> for Batcher {
    type Result = ();

    fn handle(&mut self, decoded: Decoded, ctx: &mut Self::Context) {
        self.base.probe();
        self.queue.push_back(decoded);
        self.base.context().stats.stage(Stage::Batcher, |s| s.done += 1);
        self.pump(ctx);
    }
}

impl Handler<Pull> for Batcher {
    type Result = ();

    fn handle(&mut self, pull: Pull, ctx: &mut Self::Context) {
        self.busy.remove(&pull.device);
        self.pulls.push_back(pull);
        self.pump(ctx);
    }
}

impl Handler<Return> for Batcher {
    type Result = ();

    fn handle(&mut self, Return { device, batch }: Return, ctx: &mut Self::Context) {
        self.busy.remove(&device);
        self.put_back(batch);
        self.pump(ctx);
    }
}

impl Handler<Shutdown> for Batcher {
    type Result = ();

    fn handle(&mut self, Shutdown(mode): Shutdown, ctx: &mut Self::Context) {
        self.base.shutdown = Some(mode);
        self.pump(ctx);
    }
}

abortable!(Batcher);
