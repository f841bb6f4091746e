//! The Writer: it buffers results until a count, a size or an age is reached or no other image is on its way, and
//! writes them in bounded bulks. The outcome of each result decides its lease.

use std::collections::BTreeSet;

use actix::{Actor, ActorFutureExt, AsyncContext, Context, Handler, SpawnHandle, WrapFuture};
use tokio::time::{Instant, sleep, timeout};
use tracing::{Instrument, Span};

use crate::domain::gallery::GalleryId;
use crate::domain::image::{ImageState, RejectReason, Rejection};
use crate::errors::route::Terminal;
use crate::errors::{Class, Failure};
use crate::flow::progress::Stage;
use crate::flow::retry::Next;
use crate::flow::run_stats::Done;
use crate::pipeline::bulk::{Waiting, length};
use crate::pipeline::context::{ActorBase, PipelineContext, StageTools};
use crate::pipeline::grouper::{FacesWritten, Grouper};
use crate::pipeline::item::Finished;
use crate::runtime::actor_ref::ActorRef;
use crate::runtime::shutdown::{Shutdown, abortable};

/// Writes results to the store.
pub(crate) struct Writer {
    base: ActorBase,
    bulks: BulkWriter,
    buffer: Vec<Finished>,
    bytes: usize,
    oldest: Option<Instant>,
    alarm: Option<SpawnHandle>,
}

/// Counts the faces of a result that is in the store, and ends its lease as the state of its image says.
fn written(context: &PipelineContext, finished: Finished) {
    let Finished { item, commit } = finished;
    let image = commit.image;
    match &image.rejection {
        None => tracing::debug!(state = ?image.state, faces = commit.faces.len(), "writer.stored"),
        Some(rejection) => tracing::info!(reason = rejection.reason.as_str(), "writer.rejected"),
    }
    context.stats.faces(&commit.faces);
    match (image.state, image.rejection) {
        (ImageState::Rejected, Some(Rejection { reason: RejectReason::Removed, .. })) => item.lease.ack(Done::Removal),
        (ImageState::Rejected, rejection) => item.lease.reject(rejection.unwrap_or_else(|| {
            // Every record in this state has a reason.
            Rejection::new(RejectReason::Isolated, "no reason was recorded")
        })),
        (state @ (ImageState::Indexed | ImageState::NoFaces | ImageState::LowQuality), _) => {
            item.lease.ack(Done::Image(state));
        }
    }
}

/// Maps the failure of a whole bulk to that of each of its results. Poison may be the fault of any one of them, so in a
/// bulk of several it becomes a failure that is retried alone.
fn of_each(mut failure: Failure, results: usize) -> Failure {
    if results > 1 && failure.class == Class::Poison {
        failure.class = Class::Transient;
        failure.rejection = None;
    }
    failure
}

/// Writes bulks to the store.
#[derive(Clone)]
struct BulkWriter {
    tools: StageTools,
    grouper: ActorRef<Grouper>,
}

impl BulkWriter {
    /// Ends the lease of a result that will not be stored.
    fn give_up(&self, finished: Finished, terminal: Terminal, failure: &Failure) {
        let Finished { item, .. } = finished;
        match terminal {
            Terminal::Reject => {
                let refused = || {
                    let detail = format!("the store refuses the result: {}", failure.message);
                    Rejection::new(RejectReason::Isolated, detail)
                };
                let rejection = failure.rejection.clone().unwrap_or_else(refused);
                tracing::info!(reason = rejection.reason.as_str(), "writer.rejected");
                item.lease.reject(rejection);
            }
            Terminal::Drop => drop(item),
            Terminal::Leave(reason) => {
                self.tools.release(item.lease);
                self.tools.end_run(reason, &failure.message);
            }
            Terminal::Release => self.tools.release(item.lease),
            // The image may be the cause.
            Terminal::Unexpected => self.tools.fail(item.lease),
        }
    }

    /// Writes a bulk. Results that failed and may be retried are written again, each alone.
    async fn write(self, mut bulk: Vec<Finished>) {
        let StageTools { context, heartbeat, retrier, .. } = &self.tools;
        let limit = context.settings.timeouts.store;
        let mut rounds = retrier.rounds();
        loop {
            // Another worker may have these images now; it writes the same results.
            bulk.retain(|finished| !finished.item.lease.lost());
            if bulk.is_empty() {
                return;
            }
            retrier.unbraked().await;
            let timer = self.tools.timer(bulk.len());
            let mark = || bulk.iter().for_each(|finished| context.dirty.mark(&finished.commit.image.locator.gallery));
            // The gallery is marked before the write, so that no crash can leave written faces without a grouping; and
            // after it, whatever the answer, because an answer may be lost, and a Grouper that ran meanwhile has taken
            // the first mark away.
            mark();
            let commits = bulk.iter().map(|finished| finished.commit.clone()).collect();
            let busy = heartbeat.busy();
            let spans: Vec<Span> = bulk
                .iter()
                .map(|finished| tracing::debug_span!(parent: finished.item.lease.span(), "writer.commit"))
                .collect();
            // Messages that the store sends carry the trace of the first image.
            let first = spans.first().cloned().unwrap_or_else(Span::none);
            let answer = timeout(limit, context.ports.faces.commit(commits)).instrument(first).await;
            drop(busy);
            mark();
            let outcomes: Vec<Result<(), Failure>> = match answer {
                Ok(Ok(outcomes)) if outcomes.len() == bulk.len() => {
                    outcomes.into_iter().map(|outcome| outcome.map_err(Failure::from)).collect()
                }
                Ok(Ok(outcomes)) => {
                    let message = format!("{} outcomes for {} results", outcomes.len(), bulk.len());
                    let failure = Failure { class: Class::Bug, message, rejection: None };
                    vec![Err(failure); bulk.len()]
                }
                Ok(Err(error)) => vec![Err(of_each(Failure::from(error), bulk.len())); bulk.len()],
                Err(_) => vec![Err(Failure::timeout("commit", limit)); bulk.len()],
            };
            if outcomes.iter().any(Result::is_ok) {
                timer.took_place()
            } else {
                drop(timer)
            }
            let (mut failed, mut galleries) = (Vec::new(), BTreeSet::<GalleryId>::new());
            for ((finished, outcome), span) in bulk.drain(..).zip(outcomes).zip(spans) {
                match outcome {
                    Ok(()) => {
                        let bytes = finished.bytes() as u64;
                        context.stats.stage(Stage::Writer, |s| {
                            s.done += 1;
                            s.bytes += bytes;
                        });
                        galleries.insert(finished.commit.image.locator.gallery.clone());
                        span.in_scope(|| written(context, finished));
                    }
                    Err(failure) => failed.push((finished, failure)),
                }
            }
            if !galleries.is_empty() {
                rounds.succeeded();
            }
            for gallery in galleries {
                // A lost wake-up is harmless, because the gallery is marked.
                self.grouper.tell(FacesWritten(gallery));
            }
            // All failures of a class share one decision and one wait.
            let mut decided: Vec<(Class, Next)> = Vec::new();
            let mut wait = None;
            for (finished, failure) in failed {
                let place = decided.iter().position(|(class, _)| *class == failure.class).unwrap_or_else(|| {
                    decided.push((failure.class, rounds.failed(&failure)));
                    decided.len() - 1
                });
                match &decided[place].1 {
                    Next::Wait(length) => {
                        wait = wait.max(Some(*length));
                        bulk.push(finished);
                    }
                    Next::Braked => bulk.push(finished),
                    Next::GiveUp(terminal) => self.give_up(finished, *terminal, &failure),
                }
            }
            if let Some(wait) = wait {
                sleep(wait).await;
            }
        }
    }
}

impl Writer {
    /// Creates the actor, which tells the Grouper which galleries have new faces.
    pub(crate) fn new(base: ActorBase, grouper: ActorRef<Grouper>) -> Self {
        let bulks = BulkWriter { tools: base.tools.clone(), grouper };
        Self { base, bulks, buffer: Vec::new(), bytes: 0, oldest: None, alarm: None }
    }

    fn pump(&mut self, ctx: &mut Context<Self>) {
        let settings = self.base.context().settings.writer;
        while self.base.in_flight < settings.at_once.max(1)
            && let Some(oldest) = self.oldest
        {
            let waiting = Waiting {
                count: self.buffer.len(),
                bytes: self.bytes,
                age: oldest.elapsed(),
                is_complete: self.buffer.len() >= self.base.context().leases.open_images(),
                is_ending: self.base.shutdown.is_some(),
            };
            if let Some(wait) = waiting.wait(&settings) {
                self.set_alarm(wait, ctx);
                break;
            }
            self.flush(ctx);
        }
        self.base.context().stats.waiting(Stage::Writer, self.buffer.len());
        if self.base.shutdown.is_some() && self.base.in_flight == 0 && self.buffer.is_empty() {
            self.base.stop(ctx);
        }
    }

    fn set_alarm(&mut self, wait: std::time::Duration, ctx: &mut Context<Self>) {
        if self.alarm.is_none() {
            self.alarm = Some(ctx.run_later(wait, |writer, ctx| {
                writer.alarm = None;
                writer.pump(ctx);
            }));
        }
    }

    fn flush(&mut self, ctx: &mut Context<Self>) {
        let count = length(self.buffer.iter().map(Finished::bytes), &self.base.context().settings.writer);
        let bulk: Vec<Finished> = self.buffer.drain(..count).collect();
        self.bytes -= bulk.iter().map(Finished::bytes).sum::<usize>();
        self.oldest = (!self.buffer.is_empty()).then(Instant::now);
        self.base.in_flight += 1;
        let wrote = self.bulks.clone().write(bulk).instrument(tracing::trace_span!("writer.bulk"));
        ctx.spawn(wrote.into_actor(self).map(|(), writer, ctx| {
            writer.base.in_flight -= 1;
            writer.pump(ctx);
        }));
    }
}

impl Actor for Writer {
    type Context = Context<Self>;
}

impl Handler<Finished> for Writer {
    type Result = ();

    fn handle(&mut self, mut finished: Finished, ctx: &mut Self::Context) {
        self.base.probe();
        let bytes = finished.bytes();
        // The pixels were dropped, so the result needs little memory.
        finished.item.credit.resize(bytes);
        self.bytes += bytes;
        self.oldest.get_or_insert_with(Instant::now);
        self.buffer.push(finished);
        self.pump(ctx);
    }
}

impl Handler<Shutdown> for Writer {
    type Result = ();

    fn handle(&mut self, Shutdown(mode): Shutdown, ctx: &mut Self::Context) {
        self.base.shutdown = Some(mode);
        self.pump(ctx);
    }
}

abortable!(Writer);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bulk_that_fails_as_a_whole_condemns_none_of_several() {
        let rejection = Some(Rejection::new(RejectReason::Corrupt, "as a test says"));
        for (class, results, expected) in [
            (Class::Poison, 1, Class::Poison),
            (Class::Poison, 2, Class::Transient),
            (Class::DependencyDown, 1, Class::DependencyDown),
            (Class::DependencyDown, 2, Class::DependencyDown),
        ] {
            let failure = Failure { class, message: String::new(), rejection: rejection.clone() };
            let failure = of_each(failure, results);
            assert_eq!(failure.class, expected, "{class:?} of {results}");
            assert_eq!(failure.rejection.is_some(), class == expected, "{class:?} of {results}");
        }
    }
}
