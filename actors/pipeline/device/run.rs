//! One batch, from the moment when it was pulled to the end of its last item.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::time::timeout;
use tracing::{Instrument, Span};

use crate::domain::exit::Exit;
use crate::domain::image::Frame;
use crate::pipeline::batcher::{Batcher, Return};
use crate::pipeline::context::{PipelineContext, StageTools};
use crate::pipeline::device::batch_size::BatchSize;
use crate::pipeline::item::Decoded;
use crate::pipeline::results::ResultSink;
use crate::ports::analyses::CachedAnalysis;
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
pub(super) type Tried = (u32, Decoded);

/// What became of a batch.
pub(super) enum Ran {
    /// Its items have ended.
    Done(Learnt),
    /// The device is done for; the others have its items.
    Retired,
    /// The whole program leaves. What had not ended was given back.
    Over,
}

/// Why a batch is not run to its end.
pub(super) enum Stop {
    Retire,
    /// The whole program leaves; no image is at fault.
    Over,
    /// The whole program leaves; an image in hand may be why.
    Blamed,
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
pub(super) struct Runner {
    pub(super) links: Links,
    pub(super) engine: Arc<dyn Engine>,
    pub(super) learnt: Learnt,
    /// The engine was rebuilt for this batch.
    pub(super) rebuilt: bool,
    /// The engine broke: items run one by one until the batch is done.
    pub(super) one_by_one: bool,
    pub(super) pending: VecDeque<Tried>,
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
            Err(Stop::Over) => {
                runner.pending.into_iter().for_each(|(_, decoded)| runner.links.tools.release(decoded.item.lease));
                return Ran::Over;
            }
            Err(Stop::Blamed) => {
                runner.pending.into_iter().for_each(|(_, decoded)| runner.links.tools.fail(decoded.item.lease));
                return Ran::Over;
            }
        }
    }
    Ran::Done(runner.learnt)
}

impl Runner {
    pub(super) fn context(&self) -> &PipelineContext {
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
    pub(super) async fn call(&self, frames: Vec<Arc<Frame>>) -> Result<Result<Vec<Analysis>, EngineError>, Stop> {
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
                self.put_back(batch);
                Err(Stop::Blamed)
            }
            Ok(Err(error)) => {
                timer.failed();
                self.failed(batch, &error).await
            }
            Err(stop) => {
                timer.failed();
                self.put_back(batch);
                Err(stop)
            }
        }
    }

    async fn analysed(&self, decoded: Decoded, analysis: Analysis) {
        let model = &self.context().settings.model;
        let finished = match analysis {
            Ok(found) => {
                if let (Some(content), Some(analyses)) = (decoded.source.content, &self.context().ports.analyses) {
                    analyses.keep(content, CachedAnalysis::new(&decoded.frame, &found));
                }
                decoded.analysed(found, model)
            }
            Err(rejection) => decoded.rejected(rejection, model),
        };
        self.links.results.finish(finished).await;
    }
}
