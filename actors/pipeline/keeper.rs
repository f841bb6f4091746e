//! Keeps leases: renews them at a third of their time, settles them in batches, checks every entry's result.

use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, ActorFutureExt, AsyncContext, Context, Handler, SpawnHandle, WrapFuture};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tracing::{Instrument, Span};

use crate::errors::backoff::Backoff;
use crate::errors::route::{Leave, Strategy, route};
use crate::errors::{Class, History};
use crate::flow::lease_table::{Due, Ending};
use crate::flow::progress::Stage;
use crate::pipeline::context::{Crew, Leaving, Post, abortable};
use crate::plant::Plant;
use crate::ports::queue::{Handle, QueueError, Settled};

/// The end of every lease.
pub(crate) struct Keeper {
    post: Post,
    alarm: Option<SpawnHandle>,
}

/// One outcome a handle, whatever the call said.
fn outcomes(
    called: Result<Result<Vec<Settled>, QueueError>, tokio::time::error::Elapsed>,
    asked: usize,
) -> Vec<Settled> {
    let mut outcomes = match called {
        Ok(Ok(outcomes)) => outcomes,
        Ok(Err(error)) => vec![Settled::Failed(error.class); asked],
        Err(_) => vec![Settled::Failed(Class::Transient); asked],
    };
    // An answer that is too short says nothing about the rest.
    outcomes.resize(asked, Settled::Failed(Class::Bug));
    outcomes
}

/// Settles a batch of one kind.
async fn settle(crew: Arc<Crew>, due: Vec<Due>) -> Vec<(u64, Settled)> {
    let working = crew.ledger.begin(Stage::Keeper, due.len());
    let limit = crew.settings.timeouts.queue;
    let queue = &crew.ports.queue;
    let handles: Vec<Handle> = due.iter().map(|due| due.handle.clone()).collect();
    let spans: Vec<Span> =
        due.iter().flat_map(|due| &due.spans).map(|image| tracing::debug_span!(parent: image, "keeper.ack")).collect();
    let called = match &due[0].ending {
        Ending::Ack => timeout(limit, queue.ack(&handles)).await,
        Ending::Release(_) if crew.settings.planted(Plant::LostRelease) => Ok(Ok(vec![Settled::Done; due.len()])),
        Ending::Release(delay) => timeout(limit, queue.release(&handles, *delay)).await,
        Ending::Reject(_) => {
            let entries: Vec<_> = due
                .iter()
                .filter_map(|due| match &due.ending {
                    Ending::Reject(rejection) => Some((due.handle.clone(), rejection.clone())),
                    Ending::Ack | Ending::Release(_) => None,
                })
                .collect();
            timeout(limit, queue.reject(&entries)).await
        }
    };
    let outcomes = outcomes(called, due.len());
    let errors = outcomes.iter().filter(|settled| matches!(settled, Settled::Failed(_))).count();
    crew.ledger.stage(Stage::Keeper, |s| {
        s.errors += errors as u64;
        s.done += (outcomes.len() - errors) as u64;
    });
    if errors < outcomes.len() {
        working.took_place()
    } else {
        drop(working)
    }
    drop(spans);
    due.into_iter().map(|due| due.id).zip(outcomes).collect()
}

/// Renews a batch.
async fn renew(crew: Arc<Crew>, stale: Vec<(u64, Handle)>) -> (Instant, Vec<(u64, Settled)>) {
    let asked = Instant::now();
    let handles: Vec<Handle> = stale.iter().map(|(_, handle)| handle.clone()).collect();
    let called = timeout(crew.settings.timeouts.queue, crew.ports.queue.extend(&handles)).await;
    let outcomes = outcomes(called, stale.len());
    (asked, stale.into_iter().map(|(id, _)| id).zip(outcomes).collect())
}

impl Keeper {
    pub(crate) fn new(post: Post) -> Self {
        post.crew.book.reclaim();
        Self { post, alarm: None }
    }

    /// Sends what is due on its way, as far as calls may run at once; then sleeps until more is due.
    fn pump(&mut self, ctx: &mut Context<Self>) {
        let settings = self.post.crew.settings.keeper;
        while self.post.in_flight < settings.at_once {
            let due = self.post.crew.book.take_due(settings.batch);
            if due.is_empty() {
                break;
            }
            self.post.in_flight += 1;
            let busy = self.post.heart.busy();
            let settled = settle(Arc::clone(&self.post.crew), due).instrument(tracing::trace_span!("keeper.settle"));
            ctx.spawn(settled.into_actor(self).map(move |settled, keeper, ctx| {
                drop(busy);
                keeper.post.in_flight -= 1;
                keeper.settled(settled);
                keeper.pump(ctx);
            }));
        }
        self.set_alarm(ctx);
        self.leave_if_idle(ctx);
    }

    fn settled(&self, settled: Vec<(u64, Settled)>) {
        let crew = &self.post.crew;
        crew.settings.probe.pass(Stage::Keeper);
        for (id, outcome) in settled {
            let wait = match &outcome {
                Settled::Done | Settled::LeaseLost => None,
                Settled::Failed(class) => self.wait(id, *class),
            };
            crew.book.settled(id, &outcome, wait);
        }
    }

    /// How long to wait before entry `id` is settled again; `None` gives it up.
    fn wait(&self, id: u64, class: Class) -> Option<Duration> {
        let crew = &self.post.crew;
        let attempts = crew.book.attempts(id) + 1;
        let history = History { attempts, max_attempts: crew.settings.keeper.attempts, ..History::default() };
        let backoff = || {
            let mut backoff = Backoff::new(&crew.settings.retry);
            for _ in 1..attempts {
                backoff.next(&crew.jitter);
            }
            backoff.next(&crew.jitter)
        };
        match route(class, &history) {
            Strategy::Retry | Strategy::Await => Some(backoff()),
            Strategy::Brake(after) => Some(after.unwrap_or_else(backoff)),
            Strategy::Leave(leave @ (Leave::DependencyDown | Leave::Misconfigured(_))) => {
                crew.leave(leave, Stage::Keeper, "leases cannot be settled");
                None
            }
            _ => None,
        }
    }

    /// Wakes when something is due, or becomes due, and lingers so that others can join.
    fn set_alarm(&mut self, ctx: &mut Context<Self>) {
        if self.alarm.is_some() {
            return;
        }
        let crew = Arc::clone(&self.post.crew);
        let alarm = async move {
            let due = crew.book.due.notified();
            match crew.book.next_due() {
                Some(at) => tokio::select! { biased; () = due => {}, () = sleep_until(at) => {} },
                None => due.await,
            }
            sleep(crew.settings.keeper.linger).await;
        };
        self.alarm = Some(ctx.spawn(alarm.into_actor(self).map(|(), keeper, ctx| {
            keeper.alarm = None;
            keeper.pump(ctx);
        })));
    }

    fn renew(&mut self, ctx: &mut Context<Self>) {
        if self.post.crew.settings.planted(Plant::NoRenewal) {
            return;
        }
        let third = self.post.crew.ports.queue.visibility() / 3;
        loop {
            let stale = self.post.crew.book.take_stale(third, self.post.crew.settings.keeper.batch);
            if stale.is_empty() {
                return;
            }
            let renewed = renew(Arc::clone(&self.post.crew), stale).instrument(tracing::trace_span!("keeper.renew"));
            ctx.spawn(renewed.into_actor(self).map(|(asked, renewed), keeper, ctx| {
                for (id, outcome) in renewed {
                    keeper.post.crew.book.renewed(id, asked, &outcome);
                }
                keeper.leave_if_idle(ctx);
            }));
        }
    }

    fn leave_if_idle(&mut self, ctx: &mut Context<Self>) {
        if self.post.leaving.is_some() && self.post.in_flight == 0 && self.post.crew.book.is_empty() {
            self.post.stop(ctx);
        }
    }
}

impl Actor for Keeper {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let often = (self.post.crew.ports.queue.visibility() / 15).max(Duration::from_millis(10));
        ctx.run_interval(often, Self::renew);
        self.pump(ctx);
    }
}

impl Handler<Leaving> for Keeper {
    type Result = ();

    fn handle(&mut self, Leaving(mode): Leaving, ctx: &mut Self::Context) {
        self.post.leaving = Some(mode);
        self.pump(ctx);
    }
}

abortable!(Keeper);
