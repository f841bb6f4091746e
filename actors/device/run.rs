//! One batch from pull to end: out of memory, broken engines and poison images are dealt with here.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;
use tracing::{Instrument, Span};

use crate::crew::Crew;
use crate::device::batch_size::BatchSize;
use crate::error::class::Classified;
use crate::error::route::{ALONE, Leave, Strategy, route};
use crate::error::{Class, History};
use crate::exit::Exit;
use crate::image::{Frame, RejectReason, Rejection};
use crate::item::Decoded;
use crate::ports::analyses::Known;
use crate::ports::engine::{Analysis, Engine, EngineError};
use crate::progress::Stage;
use crate::supervisor::heart::Heart;

/// What a device learnt, kept from batch to batch.
#[derive(Clone)]
pub(super) struct Learnt {
    pub(super) size: BatchSize,
    /// A frame that ran: proves whether a rebuilt engine works.
    pub(super) good: Option<Arc<Frame>>,
}

/// An item with how often it broke the engine alone.
type Tried = (u32, Decoded);

/// A device that runs a batch.
struct Runner {
    crew: Arc<Crew>,
    engine: Arc<dyn Engine>,
    heart: Heart,
    learnt: Learnt,
    /// The engine was rebuilt for this batch.
    rebuilt: bool,
    /// The engine broke: items run one by one until the batch is done.
    one_by_one: bool,
    pending: VecDeque<Tried>,
}

/// Runs a batch to its end. `None` when the whole program must leave: what has not ended is dropped, and so released.
pub(super) async fn run(
    crew: Arc<Crew>,
    number: usize,
    heart: Heart,
    learnt: Learnt,
    batch: Vec<Decoded>,
) -> Option<Learnt> {
    let engine = Arc::clone(crew.ports.engines.get(number)?);
    let pending = batch.into_iter().map(|decoded| (0, decoded)).collect();
    let mut runner = Runner { crew, engine, heart, learnt, rebuilt: false, one_by_one: false, pending };
    while let Some(batch) = runner.next() {
        runner.step(batch).await?;
    }
    Some(runner.learnt)
}

impl Runner {
    /// The next items to run together. Those whose lease is lost are dropped: somebody else has them.
    fn next(&mut self) -> Option<Vec<Tried>> {
        self.pending.retain(|(_, decoded)| !decoded.item.lease.lost());
        let most = if self.one_by_one { 1 } else { self.learnt.size.current() };
        let count = most.min(self.pending.len());
        (count > 0).then(|| self.pending.drain(..count).collect())
    }

    /// One call of the engine under its time limit; `None` when it did not answer.
    async fn call(&self, frames: Vec<Arc<Frame>>) -> Option<Result<Vec<Analysis>, EngineError>> {
        let _busy = self.heart.busy();
        let limit = self.crew.settings.timeouts.engine;
        match timeout(limit, self.engine.analyse(frames)).await {
            Ok(answer) => Some(answer),
            Err(_) => self.hang(limit),
        }
    }

    /// Runs one batch; `None` to leave.
    async fn step(&mut self, batch: Vec<Tried>) -> Option<()> {
        let frames: Vec<_> = batch.iter().map(|(_, decoded)| Arc::clone(&decoded.frame)).collect();
        let (count, first) = (batch.len(), frames.first().cloned());
        let working = self.crew.ledger.begin(Stage::Device, count);
        self.crew.ledger.note(|p| *p.batch_sizes.entry(count).or_default() += 1);
        let images = batch.iter().map(|(_, decoded)| decoded.item.lease.span());
        let span = tracing::debug_span!(parent: None, "device.batch", images = count);
        images.clone().for_each(|image| {
            span.follows_from(image);
        });
        let spans: Vec<Span> = images.map(|image| tracing::debug_span!(parent: image, "device.analyse")).collect();
        let answer = self.call(frames).instrument(span).await;
        drop(spans);
        match answer {
            Some(Ok(analyses)) if analyses.len() == count => {
                let took = working.done(0);
                self.learnt.size.succeeded(count);
                self.learnt.good = first;
                for ((_, mut decoded), analysis) in batch.into_iter().zip(analyses) {
                    decoded.item.timings.analyse = Some(took);
                    self.analysed(decoded, analysis).await;
                }
                Some(())
            }
            Some(Ok(analyses)) => {
                working.failed();
                self.crew.fault(Exit::Bug(format!("{} analyses for {count} frames", analyses.len())));
                None
            }
            Some(Err(error)) => {
                working.failed();
                self.failed(batch, &error).await
            }
            None => {
                working.failed();
                None
            }
        }
    }

    /// Says that the engine hangs.
    fn hang<T>(&self, limit: Duration) -> Option<T> {
        let message = format!("the engine did not answer for {limit:?}");
        if let Strategy::Leave(leave) = route(Class::Hang, &History::default()) {
            self.crew.leave(leave, Stage::Device, &message);
        }
        None
    }

    async fn analysed(&self, decoded: Decoded, analysis: Analysis) {
        let model = &self.crew.settings.model;
        let finished = match analysis {
            Ok(found) => {
                if let (Some(content), Some(analyses)) = (decoded.source.content, &self.crew.ports.analyses) {
                    analyses.keep(content, Known::of(&decoded.frame, &found));
                }
                decoded.analysed(found, model)
            }
            Err(rejection) => decoded.rejected(rejection, model),
        };
        self.crew.finish(finished).await;
    }

    async fn failed(&mut self, mut batch: Vec<Tried>, error: &EngineError) -> Option<()> {
        let class = error.class();
        if class == Class::Overload {
            self.crew.ledger.note(|p| p.out_of_memory += 1);
        }
        let count = batch.len();
        let mut attempts = 0;
        if let [(tried, _)] = batch.as_mut_slice() {
            *tried += u32::from(class == Class::Engine);
            attempts = *tried;
        }
        let mut history = History { attempts, batch: count, rebuilt: self.rebuilt, ..History::default() };
        if class == Class::Engine && self.rebuilt && attempts >= ALONE {
            history.proven = self.prove().await?;
        }
        let strategy = route(class, &history);
        tracing::warn!(%error, batch = count, ?strategy, "device.fail");
        match strategy {
            Strategy::Halve => {
                self.learnt.size.halve(count);
                self.put_back(batch);
                Some(())
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
                    self.crew.finish(decoded.rejected(rejection, &self.crew.settings.model)).await;
                }
                // The next image in trouble has a rebuild of its own.
                self.rebuilt = class == Class::Engine;
                Some(())
            }
            Strategy::Leave(leave) => {
                self.crew.leave(leave, Stage::Device, &error.to_string());
                None
            }
            Strategy::Retry
            | Strategy::Await
            | Strategy::Brake(_)
            | Strategy::Release
            | Strategy::Reject
            | Strategy::RunAlone
            | Strategy::Drop
            | Strategy::Restart => {
                for (_, decoded) in batch {
                    decoded.item.lease.release(self.crew.release_delay());
                }
                Some(())
            }
        }
    }

    /// Rebuilds the engine and runs a frame that ran before: is it the engine, or the image?
    async fn prove(&mut self) -> Option<bool> {
        self.rebuild().await?;
        match self.learnt.good.clone() {
            Some(good) => Some(self.call(vec![good]).await?.is_ok()),
            None => Some(false),
        }
    }

    fn put_back(&mut self, batch: Vec<Tried>) {
        batch.into_iter().rev().for_each(|tried| self.pending.push_front(tried));
    }

    async fn rebuild(&mut self) -> Option<()> {
        self.crew.ledger.note(|p| p.rebuilds += 1);
        let limit = self.crew.settings.timeouts.rebuild;
        let busy = self.heart.busy();
        let rebuilt = timeout(limit, self.engine.rebuild()).await;
        drop(busy);
        match rebuilt {
            Ok(Ok(())) => Some(()),
            Ok(Err(error)) => {
                let leave = match route(error.class(), &History { rebuilt: true, ..History::default() }) {
                    Strategy::Leave(leave) => leave,
                    // A device that cannot even load its models is broken.
                    _ => Leave::Engine,
                };
                self.crew.leave(leave, Stage::Device, &format!("rebuild: {error}"));
                None
            }
            Err(_) => self.hang(limit),
        }
    }
}
