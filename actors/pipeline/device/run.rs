//! One batch from pull to end: out of memory, broken engines and poison images are dealt with here.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;
use tracing::{Instrument, Span};

use crate::domain::exit::Exit;
use crate::domain::image::{Frame, RejectReason, Rejection};
use crate::errors::class::Classified;
use crate::errors::route::{ALONE, FatalReason, Proof, Strategy, route};
use crate::errors::{Class, History};
use crate::pipeline::batcher::{Batcher, Return};
use crate::pipeline::context::{PipelineContext, StageTools};
use crate::pipeline::device::batch_size::BatchSize;
use crate::pipeline::item::Decoded;
use crate::pipeline::results::ResultSink;
use crate::ports::analyses::Known;
use crate::ports::engine::{Analysis, Engine, EngineError};
use crate::runtime::actor_ref::ActorRef;

/// What a device learnt, kept from batch to batch.
#[derive(Clone)]
pub(super) struct Learnt {
    pub(super) size: BatchSize,
    /// A frame that ran: proves whether a rebuilt engine works.
    pub(super) good: Option<Arc<Frame>>,
}

/// An item with how often it broke the engine alone.
type Tried = (u32, Decoded);

/// What became of a batch.
pub(super) enum Ran {
    /// Its items have ended.
    Done(Learnt),
    /// The device is done for; the others have its items.
    Retired,
    /// The whole program leaves. What had not ended was dropped, and so released.
    Over,
}

/// Why a batch is not run to its end.
enum Stop {
    Retire,
    Over,
}

/// What a device works with, and where it sends to.
#[derive(Clone)]
pub(super) struct Links {
    pub(super) tools: StageTools,
    pub(super) number: usize,
    pub(super) batcher: ActorRef<Batcher>,
    pub(super) results: ResultSink,
}

/// A device that runs a batch.
struct Runner {
    links: Links,
    engine: Arc<dyn Engine>,
    learnt: Learnt,
    /// The engine was rebuilt for this batch.
    rebuilt: bool,
    /// The engine broke: items run one by one until the batch is done.
    one_by_one: bool,
    pending: VecDeque<Tried>,
}

/// Runs a batch to its end, or to the device's.
pub(super) async fn run(links: Links, learnt: Learnt, batch: Vec<Decoded>) -> Ran {
    let Some(engine) = links.tools.context.ports.engines.get(links.number).map(Arc::clone) else { return Ran::Over };
    let pending = batch.into_iter().map(|decoded| (0, decoded)).collect();
    let mut runner = Runner { links, engine, learnt, rebuilt: false, one_by_one: false, pending };
    while let Some(batch) = runner.next() {
        match runner.step(batch).await {
            Ok(()) => {}
            Err(Stop::Retire) => {
                let batch = runner.pending.into_iter().map(|(_, decoded)| decoded).collect();
                let Links { number, batcher, .. } = runner.links;
                batcher.send_or_release(Return { device: number, batch }).await;
                return Ran::Retired;
            }
            Err(Stop::Over) => return Ran::Over,
        }
    }
    Ran::Done(runner.learnt)
}

impl Runner {
    fn context(&self) -> &PipelineContext {
        &self.links.tools.context
    }

    /// The next items to run together. Those whose lease is lost are dropped: somebody else has them.
    fn next(&mut self) -> Option<Vec<Tried>> {
        self.pending.retain(|(_, decoded)| !decoded.item.lease.lost());
        let most = if self.one_by_one { 1 } else { self.learnt.size.current() };
        let count = most.min(self.pending.len());
        (count > 0).then(|| self.pending.drain(..count).collect())
    }

    /// One call of the engine under its time limit.
    async fn call(&self, frames: Vec<Arc<Frame>>) -> Result<Result<Vec<Analysis>, EngineError>, Stop> {
        let _busy = self.links.tools.heartbeat.busy();
        let limit = self.context().settings.timeouts.engine;
        match timeout(limit, self.engine.analyse(frames)).await {
            Ok(answer) => Ok(answer),
            Err(_) => Err(self.hang(limit)),
        }
    }

    /// Runs one batch.
    async fn step(&mut self, batch: Vec<Tried>) -> Result<(), Stop> {
        let frames: Vec<_> = batch.iter().map(|(_, decoded)| Arc::clone(&decoded.frame)).collect();
        let (count, first) = (batch.len(), frames.first().cloned());
        let timer = self.links.tools.timer(count);
        self.context().stats.note(|p| *p.batch_sizes.entry(count).or_default() += 1);
        let images = batch.iter().map(|(_, decoded)| decoded.item.lease.span());
        let span = tracing::debug_span!(parent: None, "device.batch", images = count);
        images.clone().for_each(|image| {
            span.follows_from(image);
        });
        let spans: Vec<Span> = images.map(|image| tracing::debug_span!(parent: image, "device.analyse")).collect();
        let answer = self.call(frames).instrument(span).await;
        drop(spans);
        match answer {
            Ok(Ok(analyses)) if analyses.len() == count => {
                let took = timer.done(0);
                self.learnt.size.succeeded(count);
                self.learnt.good = first;
                for ((_, mut decoded), analysis) in batch.into_iter().zip(analyses) {
                    decoded.item.timings.analyse = Some(took);
                    self.analysed(decoded, analysis).await;
                }
                Ok(())
            }
            Ok(Ok(analyses)) => {
                timer.failed();
                self.links.tools.fault(Exit::Bug(format!("{} analyses for {count} frames", analyses.len())));
                Err(Stop::Over)
            }
            Ok(Err(error)) => {
                timer.failed();
                self.failed(batch, &error).await
            }
            Err(stop) => {
                timer.failed();
                Err(stop)
            }
        }
    }

    /// Says that the engine hangs.
    fn hang(&self, limit: Duration) -> Stop {
        let message = format!("the engine did not answer for {limit:?}");
        if let Strategy::Leave(reason) = route(Class::Hang, &History::default()) {
            self.links.tools.end_run(reason, &message);
        }
        Stop::Over
    }

    async fn analysed(&self, decoded: Decoded, analysis: Analysis) {
        let model = &self.context().settings.model;
        let finished = match analysis {
            Ok(found) => {
                if let (Some(content), Some(analyses)) = (decoded.source.content, &self.context().ports.analyses) {
                    analyses.keep(content, Known::of(&decoded.frame, &found));
                }
                decoded.analysed(found, model)
            }
            Err(rejection) => decoded.rejected(rejection, model),
        };
        self.links.results.finish(finished).await;
    }

    async fn failed(&mut self, mut batch: Vec<Tried>, error: &EngineError) -> Result<(), Stop> {
        let class = error.class();
        if class == Class::Overload {
            self.context().stats.note(|p| p.out_of_memory += 1);
        }
        let count = batch.len();
        let mut attempts = 0;
        if let [(tried, _)] = batch.as_mut_slice() {
            *tried += u32::from(class == Class::Engine);
            attempts = *tried;
        }
        self.put_back(batch);
        let alone = (class == Class::Engine && attempts >= ALONE) || (class == Class::Overload && count == 1);
        let proof = if alone && self.rebuilt { self.prove(class).await? } else { Proof::None };
        // Who else is alive is asked last: others may have died while the engine was tried.
        let history = History { attempts, batch: count, rebuilt: self.rebuilt, proof, ..self.history() };
        let batch: Vec<Tried> = self.pending.drain(..count).collect();
        let strategy = route(class, &history);
        tracing::warn!(%error, batch = count, ?strategy, "device.fail");
        match strategy {
            Strategy::Halve => {
                self.learnt.size.halve(count);
                self.put_back(batch);
                Ok(())
            }
            Strategy::Rebuild => {
                self.rebuilt = true;
                self.one_by_one |= class == Class::Engine;
                self.put_back(batch);
                self.rebuild().await
            }
            Strategy::SetAside => {
                self.pending.extend(batch);
                self.rebuild().await
            }
            Strategy::Isolate => {
                for (_, decoded) in batch {
                    let rejection = Rejection::new(RejectReason::Isolated, format!("alone on the device: {error}"));
                    self.links.results.finish(decoded.rejected(rejection, &self.context().settings.model)).await;
                }
                // The next image in trouble has a rebuild of its own.
                self.rebuilt = class == Class::Engine;
                Ok(())
            }
            Strategy::Retire => {
                self.put_back(batch);
                Err(self.retire(class, error))
            }
            Strategy::Leave(reason) => Err(self.leave(reason, &error.to_string())),
            Strategy::Retry
            | Strategy::Await
            | Strategy::Brake(_)
            | Strategy::Release
            | Strategy::Reject
            | Strategy::RunAlone
            | Strategy::Drop
            | Strategy::Restart => {
                for (_, decoded) in batch {
                    self.links.tools.release(decoded.item.lease);
                }
                Ok(())
            }
        }
    }

    /// What is known of this device and of what it has in hand.
    fn history(&self) -> History {
        let doubted = |(_, decoded): &Tried| decoded.item.suspect || decoded.item.receive_count > 1;
        let (others, doubted) = (self.context().other_devices(), self.pending.iter().any(doubted));
        History { others, doubted, ..History::default() }
    }

    /// The whole program leaves because of this device.
    fn leave(&self, reason: FatalReason, message: &str) -> Stop {
        if reason == FatalReason::HostFault {
            self.context().stats.note(|p| p.devices_lost += 1);
        }
        self.links.tools.end_run(reason, message);
        Stop::Over
    }

    /// The others go on without this device. All actors share a thread: nothing came between the look at the others and this.
    fn retire(&mut self, class: Class, error: &EngineError) -> Stop {
        self.context().stats.note(|p| p.devices_lost += 1);
        // Any of them may be what broke the engine.
        self.pending.iter_mut().for_each(|(_, decoded)| decoded.item.suspect |= class != Class::HostFault);
        tracing::warn!(reason = %error, device = self.links.number, given_back = self.pending.len(), "device.retire");
        Stop::Retire
    }

    /// Runs a frame that ran before, on a new engine where this one broke: is it the engine, or the image?
    async fn prove(&mut self, class: Class) -> Result<Proof, Stop> {
        if class == Class::Engine {
            self.rebuild().await?;
        }
        let Some(good) = self.learnt.good.clone() else { return Ok(Proof::None) };
        match self.call(vec![good]).await? {
            Ok(_) => Ok(Proof::Works),
            Err(EngineError::OutOfMemory(_) | EngineError::Gone | EngineError::Sticky(_)) => Ok(Proof::Broken),
            Err(error @ (EngineError::DeviceLost(_) | EngineError::Misconfigured(_))) => {
                Err(self.broken("proof", &error))
            }
        }
    }

    fn put_back(&mut self, batch: Vec<Tried>) {
        batch.into_iter().rev().for_each(|tried| self.pending.push_front(tried));
    }

    async fn rebuild(&mut self) -> Result<(), Stop> {
        self.context().stats.note(|p| p.rebuilds += 1);
        let limit = self.context().settings.timeouts.rebuild;
        let busy = self.links.tools.heartbeat.busy();
        let rebuilt = timeout(limit, self.engine.rebuild()).await;
        drop(busy);
        match rebuilt {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(self.broken("rebuild", &error)),
            Err(_) => Err(self.hang(limit)),
        }
    }

    /// A device that cannot even load its models, or run what it ran before, is broken.
    fn broken(&mut self, what: &str, error: &EngineError) -> Stop {
        let history = History { attempts: ALONE, rebuilt: true, proof: Proof::Broken, ..self.history() };
        let reason = match route(error.class(), &history) {
            Strategy::Retire => return self.retire(error.class(), error),
            Strategy::Leave(reason) => reason,
            _ => FatalReason::Engine,
        };
        self.leave(reason, &format!("{what}: {error}"))
    }
}
