//! Runs one batch, from the pull to the end of its last item.

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

/// State that a device learnt from earlier batches.
#[derive(Clone)]
pub(super) struct Learnt {
    pub(super) size: BatchSize,
    /// A frame that ran without an error, by which a rebuilt engine is tested.
    pub(super) good: Option<Arc<Frame>>,
}

/// An item, with the number of times that it broke the engine when it ran alone.
pub(super) type Tried = (u32, Decoded);

/// The result of running a batch.
pub(super) enum Ran {
    /// All items have ended.
    Done(Learnt),
    /// The device is broken; the other devices have its items.
    Retired,
    /// The run ends. Items that had not ended were given back.
    Over,
}

/// The reason why a batch stops before all its items ended.
pub(super) enum Stop {
    Retire,
    /// The run ends, and no image is at fault.
    Over,
    /// The run ends, and an image in this batch may be the cause.
    Blamed,
}

/// The device's tools, and the actors that it sends to.
#[derive(Clone)]
pub(super) struct Links {
    pub(super) tools: StageTools,
    pub(super) number: usize,
    pub(super) batcher: ActorRef<Batcher>,
    pub(super) results: ResultSink,
}

/// A device while it runs a batch.
pub(super) struct Runner {
    pub(super) links: Links,
    pub(super) engine: Arc<dyn Engine>,
    pub(super) learnt: Learnt,
    /// Whether the engine was rebuilt during this batch.
    pub(super) rebuilt: bool,
    /// Whether the engine broke, so that items run one by one until the batch is done.
    pub(super) one_by_one: bool,
    pub(super) pending: VecDeque<Tried>,
}

/// Runs a batch until its items have ended or the device is broken.
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

    /// Returns the next items to run together. Items whose lease is lost are dropped, because another worker may have
    /// them.
    fn next(&mut self) -> Option<Vec<Tried>> {
        self.pending.retain(|(_, decoded)| !decoded.item.lease.lost());
        let most = if self.one_by_one { 1 } else { self.learnt.size.current() };
        let count = most.min(self.pending.len());
        (count > 0).then(|| self.pending.drain(..count).collect())
    }

    /// Calls the engine once, under its time limit.
    pub(super) async fn call(&self, frames: Vec<Arc<Frame>>) -> Result<Result<Vec<Analysis>, EngineError>, Stop> {
        let _busy = self.links.tools.heartbeat.busy();
        let limit = self.context().settings.timeouts.engine;
        match timeout(limit, self.engine.analyse(frames)).await {
            Ok(answer) => Ok(answer),
            Err(_) => Err(self.hang(limit)),
        }
    }

    /// Runs some items of the batch in one call.
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
