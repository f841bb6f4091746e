//! Holds decoded images in an explicit queue until a device pulls.

pub mod plan;

use std::collections::{BTreeSet, VecDeque};

use actix::{Actor, AsyncContext, Context, Handler, Message, SpawnHandle};
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::flow::progress::Stage;
use crate::pipeline::batcher::plan::{Candidate, Plan, plan};
use crate::pipeline::context::{Leaving, Post, abortable};
use crate::pipeline::item::Decoded;
use crate::runtime::drain::Mode;

/// From a device that is ready: up to `want` images, please.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Pull {
    pub(crate) device: usize,
    pub(crate) want: usize,
    pub(crate) reply: oneshot::Sender<Vec<Decoded>>,
}

/// From a device that retires: what it had in hand, for the others.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Return {
    pub(crate) device: usize,
    pub(crate) batch: Vec<Decoded>,
}

/// The queue in front of the devices.
pub(crate) struct Batcher {
    post: Post,
    queue: VecDeque<Decoded>,
    pulls: VecDeque<Pull>,
    /// Devices that have a batch, which may come back.
    busy: BTreeSet<usize>,
    alarm: Option<SpawnHandle>,
}

impl Batcher {
    pub(crate) fn new(post: Post) -> Self {
        Self { post, queue: VecDeque::new(), pulls: VecDeque::new(), busy: BTreeSet::new(), alarm: None }
    }

    fn pump(&mut self, ctx: &mut Context<Self>) {
        if let Some(alarm) = self.alarm.take() {
            ctx.cancel_future(alarm);
        }
        let limits = self.post.crew.settings.batch;
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
            match plan(candidates, &limits, pull.want, self.post.leaving.is_some()) {
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
        self.post.crew.ledger.waiting(Stage::Batcher, self.queue.len());
        self.leave_if_idle(ctx);
    }

    /// The images keep their place.
    fn put_back(&mut self, batch: Vec<Decoded>) {
        batch.into_iter().rev().for_each(|decoded| self.queue.push_front(decoded));
    }

    fn leave_if_idle(&mut self, ctx: &mut Context<Self>) {
        match self.post.leaving {
            Some(Mode::Finish) if self.queue.is_empty() && self.busy.is_empty() => self.post.stop(ctx),
            // What is here is dropped, and so released.
            Some(Mode::HandBack) => self.post.stop(ctx),
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
        self.post.crew.settings.probe.pass(Stage::Batcher);
        self.queue.push_back(decoded);
        self.post.crew.ledger.stage(Stage::Batcher, |s| s.done += 1);
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

impl Handler<Leaving> for Batcher {
    type Result = ();

    fn handle(&mut self, Leaving(mode): Leaving, ctx: &mut Self::Context) {
        self.post.leaving = Some(mode);
        self.pump(ctx);
    }
}

abortable!(Batcher);
