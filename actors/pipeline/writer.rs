//! Buffers results by count, bytes or age, or until nothing else is on its way, and writes them in bulks; every result's own
//! outcome decides its lease.

use std::collections::BTreeSet;
use std::sync::Arc;

use actix::{Actor, ActorFutureExt, AsyncContext, Context, Handler, SpawnHandle, WrapFuture};
use tokio::time::{Instant, sleep, timeout};
use tracing::{Instrument, Span};

use crate::domain::gallery::GalleryId;
use crate::domain::image::{ImageState, RejectReason, Rejection};
use crate::errors::route::Strategy;
use crate::errors::{Class, Failure};
use crate::flow::progress::Stage;
use crate::flow::retry::{Next, Retrier};
use crate::flow::run_stats::Done;
use crate::pipeline::context::{Crew, Leaving, Post, abortable};
use crate::pipeline::grouper::FacesWritten;
use crate::pipeline::item::Finished;
use crate::plant::Plant;
use crate::runtime::heartbeat::Heart;

/// The way into the store.
pub(crate) struct Writer {
    post: Post,
    retrier: Retrier,
    buffer: Vec<Finished>,
    bytes: usize,
    oldest: Option<Instant>,
    alarm: Option<SpawnHandle>,
}

/// The result is in the store: tell the Grouper, then end the lease.
fn written(crew: &Crew, finished: Finished) {
    let Finished { item, commit } = finished;
    let image = commit.image;
    match &image.rejection {
        None => tracing::debug!(state = ?image.state, faces = commit.faces.len(), "writer.stored"),
        Some(rejection) => tracing::info!(reason = rejection.reason.as_str(), "writer.rejected"),
    }
    crew.ledger.faces(&commit.faces);
    match (image.state, image.rejection) {
        (ImageState::Rejected, rejection) => item.lease.reject(rejection.unwrap_or_else(|| {
            // Every record in this state is made with its reason.
            Rejection::new(RejectReason::Isolated, "no reason was recorded")
        })),
        (state @ (ImageState::Indexed | ImageState::NoFaces | ImageState::LowQuality), _) => {
            item.lease.ack(Done::Image(state));
        }
    }
}

/// The result will not be in the store.
fn given_up(crew: &Crew, finished: Finished, strategy: Strategy, failure: &Failure) {
    let Finished { item, .. } = finished;
    match strategy {
        Strategy::Reject => {
            let refused = || {
                let detail = format!("the store refuses the result: {}", failure.message);
                Rejection::new(RejectReason::Isolated, detail)
            };
            let rejection = failure.rejection.clone().unwrap_or_else(refused);
            tracing::info!(reason = rejection.reason.as_str(), "writer.rejected");
            item.lease.reject(rejection);
        }
        Strategy::Drop => drop(item),
        Strategy::Leave(leave) => {
            item.lease.release(crew.release_delay());
            crew.leave(leave, Stage::Writer, &failure.message);
        }
        Strategy::Retry
        | Strategy::Await
        | Strategy::Brake(_)
        | Strategy::Release
        | Strategy::Halve
        | Strategy::Rebuild
        | Strategy::SetAside
        | Strategy::Retire
        | Strategy::Isolate
        | Strategy::RunAlone
        | Strategy::Restart => item.lease.release(crew.release_delay()),
    }
}

/// Writes a bulk. What failed and may be tried again is written again, alone.
async fn write(crew: Arc<Crew>, retrier: Retrier, heart: Heart, mut bulk: Vec<Finished>) {
    let limit = crew.settings.timeouts.store;
    let mut rounds = retrier.rounds();
    loop {
        // Another worker has these now; what it writes is the same.
        bulk.retain(|finished| !finished.item.lease.lost());
        if bulk.is_empty() {
            return;
        }
        retrier.unbraked().await;
        if crew.settings.planted(Plant::AckBeforeWrite) {
            let commits = bulk.iter().map(|finished| finished.commit.clone()).collect();
            bulk.drain(..).for_each(|finished| written(&crew, finished));
            let _ = crew.ports.faces.commit(commits).await;
            return;
        }
        let working = crew.ledger.begin(Stage::Writer, bulk.len());
        let mark = || bulk.iter().for_each(|finished| crew.dirty.mark(&finished.commit.image.locator.gallery));
        // Before, so that no crash lies between a written face and its grouping; and after, whatever the answer: a
        // reply may be lost, and a Grouper that ran meanwhile has taken the first mark away.
        mark();
        let commits = bulk.iter().map(|finished| finished.commit.clone()).collect();
        let busy = heart.busy();
        let spans: Vec<Span> = bulk
            .iter()
            .map(|finished| tracing::debug_span!(parent: finished.item.lease.span(), "writer.commit"))
            .collect();
        // What the store sends on its way carries the trace of the first image.
        let first = spans.first().cloned().unwrap_or_else(Span::none);
        let answer = timeout(limit, crew.ports.faces.commit(commits)).instrument(first).await;
        drop(busy);
        mark();
        let outcomes: Vec<Result<(), Failure>> = match answer {
            Ok(Ok(_)) if crew.settings.planted(Plant::PartialIgnored) => vec![Ok(()); bulk.len()],
            Ok(Ok(outcomes)) if outcomes.len() == bulk.len() => {
                outcomes.into_iter().map(|outcome| outcome.map_err(Failure::from)).collect()
            }
            Ok(Ok(outcomes)) => {
                let message = format!("{} outcomes for {} results", outcomes.len(), bulk.len());
                let failure = Failure { class: Class::Bug, message, rejection: None };
                vec![Err(failure); bulk.len()]
            }
            Ok(Err(error)) => vec![Err(Failure::from(error)); bulk.len()],
            Err(_) => vec![Err(Failure::timeout("commit", limit)); bulk.len()],
        };
        if outcomes.iter().any(Result::is_ok) {
            working.took_place()
        } else {
            drop(working)
        }
        let (mut failed, mut galleries) = (Vec::new(), BTreeSet::<GalleryId>::new());
        for ((finished, outcome), span) in bulk.drain(..).zip(outcomes).zip(spans) {
            match outcome {
                Ok(()) => {
                    let bytes = finished.bytes() as u64;
                    crew.ledger.stage(Stage::Writer, |s| {
                        s.done += 1;
                        s.bytes += bytes;
                    });
                    galleries.insert(finished.commit.image.locator.gallery.clone());
                    span.in_scope(|| written(&crew, finished));
                }
                Err(failure) => failed.push((finished, failure)),
            }
        }
        if !galleries.is_empty() {
            rounds.succeeded();
        }
        for gallery in galleries {
            // A lost wake-up is harmless: the gallery is marked.
            let _ = crew.grouper.tell(FacesWritten(gallery));
        }
        // One decision for all failures of a class, and one wait for all.
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
                Next::GiveUp(strategy) => given_up(&crew, finished, *strategy, &failure),
            }
        }
        if let Some(wait) = wait {
            sleep(wait).await;
        }
    }
}

impl Writer {
    pub(crate) fn new(post: Post) -> Self {
        let retrier = post.retrier(Stage::Writer);
        Self { post, retrier, buffer: Vec::new(), bytes: 0, oldest: None, alarm: None }
    }

    fn pump(&mut self, ctx: &mut Context<Self>) {
        let settings = self.post.crew.settings.writer;
        while self.post.in_flight < settings.at_once.max(1)
            && let Some(oldest) = self.oldest
        {
            let full = self.buffer.len() >= settings.count || self.bytes >= settings.bytes;
            let age = oldest.elapsed();
            // Everything on its way is here: nothing comes while it waits.
            let complete = self.buffer.len() >= self.post.crew.book.open_images();
            if !full && !complete && age < settings.age && self.post.leaving.is_none() {
                self.set_alarm(settings.age - age, ctx);
                break;
            }
            self.flush(ctx);
        }
        self.post.crew.ledger.waiting(Stage::Writer, self.buffer.len());
        if self.post.leaving.is_some() && self.post.in_flight == 0 && self.buffer.is_empty() {
            self.post.stop(ctx);
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
        let count = self.buffer.len().min(self.post.crew.settings.writer.count.max(1));
        let bulk: Vec<Finished> = self.buffer.drain(..count).collect();
        self.bytes -= bulk.iter().map(Finished::bytes).sum::<usize>();
        self.oldest = (!self.buffer.is_empty()).then(Instant::now);
        self.post.in_flight += 1;
        let (crew, retrier, heart) = (Arc::clone(&self.post.crew), self.retrier.clone(), self.post.heart.clone());
        let wrote = write(crew, retrier, heart, bulk).instrument(tracing::trace_span!("writer.bulk"));
        ctx.spawn(wrote.into_actor(self).map(|(), writer, ctx| {
            writer.post.in_flight -= 1;
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
        self.post.crew.settings.probe.pass(Stage::Writer);
        let bytes = finished.bytes();
        // The pixels are gone; what is left is small.
        finished.item.credit.resize(bytes);
        self.bytes += bytes;
        self.oldest.get_or_insert_with(Instant::now);
        self.buffer.push(finished);
        self.pump(ctx);
    }
}

impl Handler<Leaving> for Writer {
    type Result = ();

    fn handle(&mut self, Leaving(mode): Leaving, ctx: &mut Self::Context) {
        self.post.leaving = Some(mode);
        self.pump(ctx);
    }
}

abortable!(Writer);
