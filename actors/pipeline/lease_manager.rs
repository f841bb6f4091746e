//! The LeaseManager: it renews leases after a third of their time, settles them in batches, and checks the outcome of
//! each entry.

use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, ActorFutureExt, AsyncContext, Context, Handler, SpawnHandle, WrapFuture};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tracing::{Instrument, Span};

use crate::errors::backoff::Backoff;
use crate::errors::route::{FatalReason, Strategy, route};
use crate::errors::{Class, History};
use crate::flow::lease_table::{PendingSettlement, Settlement};
use crate::flow::progress::Stage;
use crate::pipeline::context::{ActorBase, PipelineContext, StageTools};
use crate::ports::queue::{Handle, QueueError, SettleOutcome};
use crate::ports::releases::Receive;
use crate::runtime::shutdown::{Shutdown, abortable};

/// Renews and settles the leases of a pipeline.
pub(crate) struct LeaseManager {
    base: ActorBase,
    alarm: Option<SpawnHandle>,
}

/// Returns one outcome for each handle, also where the call failed or answered too few.
fn outcomes(
    called: Result<Result<Vec<SettleOutcome>, QueueError>, tokio::time::error::Elapsed>,
    asked: usize,
) -> Vec<SettleOutcome> {
    let mut outcomes = match called {
        Ok(Ok(outcomes)) => outcomes,
        Ok(Err(error)) => vec![SettleOutcome::Failed(error.class); asked],
        Err(_) => vec![SettleOutcome::Failed(Class::Transient); asked],
    };
    // An answer that is too short says nothing about the missing entries.
    outcomes.resize(asked, SettleOutcome::Failed(Class::Bug));
    outcomes
}

/// Time limit of noting releases. Until the note is written the messages stay invisible to others. If it fails, their
/// receives count as receives without an end.
const NOTE: Duration = Duration::from_secs(1);

/// Notes the receives that end in a release for which no image is to blame.
async fn note(context: &PipelineContext, due: &[PendingSettlement]) {
    let clean = |due: &&PendingSettlement| matches!(due.settlement, Settlement::Release { clean: true, .. });
    let receives: Vec<Receive> = due.iter().filter(clean).map(|due| due.receive.clone()).collect();
    if receives.is_empty() {
        return;
    }
    match timeout(NOTE, context.ports.releases.note(&receives)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%error, count = receives.len(), "keeper.note"),
        Err(_) => tracing::warn!(error = "no answer in time", count = receives.len(), "keeper.note"),
    }
}

/// Settles a batch of messages that end in the same way.
async fn settle(tools: StageTools, due: Vec<PendingSettlement>) -> Vec<(u64, SettleOutcome)> {
    let context = &tools.context;
    let timer = tools.timer(due.len());
    let limit = context.settings.timeouts.queue;
    let queue = &context.ports.queue;
    let handles: Vec<Handle> = due.iter().map(|due| due.handle.clone()).collect();
    let spans: Vec<Span> =
        due.iter().flat_map(|due| &due.spans).map(|image| tracing::debug_span!(parent: image, "keeper.ack")).collect();
    let called = match &due[0].settlement {
        Settlement::Ack => timeout(limit, queue.ack(&handles)).await,
        Settlement::Release { delay, .. } => {
            note(context, &due).await;
            timeout(limit, queue.release(&handles, *delay)).await
        }
        Settlement::Reject(_) => {
            let entries: Vec<_> = due
                .iter()
                .filter_map(|due| match &due.settlement {
                    Settlement::Reject(rejection) => Some((due.handle.clone(), rejection.clone())),
                    Settlement::Ack | Settlement::Release { .. } => None,
                })
                .collect();
            timeout(limit, queue.reject(&entries)).await
        }
    };
    let outcomes = outcomes(called, due.len());
    let errors = outcomes.iter().filter(|settled| matches!(settled, SettleOutcome::Failed(_))).count();
    context.stats.stage(Stage::LeaseManager, |s| {
        s.errors += errors as u64;
        s.done += (outcomes.len() - errors) as u64;
    });
    if errors < outcomes.len() {
        timer.took_place()
    } else {
        drop(timer)
    }
    drop(spans);
    due.into_iter().map(|due| due.id).zip(outcomes).collect()
}

/// Renews a batch of leases.
async fn renew(context: Arc<PipelineContext>, stale: Vec<(u64, Handle)>) -> (Instant, Vec<(u64, SettleOutcome)>) {
    let asked = Instant::now();
    let handles: Vec<Handle> = stale.iter().map(|(_, handle)| handle.clone()).collect();
    let called = timeout(context.settings.timeouts.queue, context.ports.queue.extend(&handles)).await;
    let outcomes = outcomes(called, stale.len());
    (asked, stale.into_iter().map(|(id, _)| id).zip(outcomes).collect())
}

impl LeaseManager {
    pub(crate) fn new(base: ActorBase) -> Self {
        base.context().leases.reclaim();
        Self { base, alarm: None }
    }

    /// Starts calls for what is due, up to the limit of parallel calls, and then sleeps until more is due.
    fn pump(&mut self, ctx: &mut Context<Self>) {
        let settings = self.base.context().settings.lease_manager;
        while self.base.in_flight < settings.at_once {
            let due = self.base.context().leases.take_due(settings.batch);
            if due.is_empty() {
                break;
            }
            self.base.in_flight += 1;
            let busy = self.base.tools.heartbeat.busy();
            let settled = settle(self.base.tools.clone(), due).instrument(tracing::trace_span!("keeper.settle"));
            ctx.spawn(settled.into_actor(self).map(move |settled, manager, ctx| {
                drop(busy);
                manager.base.in_flight -= 1;
                manager.settled(settled);
                manager.pump(ctx);
            }));
        }
        self.set_alarm(ctx);
        self.leave_if_idle(ctx);
    }

    fn settled(&self, settled: Vec<(u64, SettleOutcome)>) {
        let context = self.base.context();
        self.base.probe();
        for (id, outcome) in settled {
            let wait = match &outcome {
                SettleOutcome::Done | SettleOutcome::LeaseLost => None,
                SettleOutcome::Failed(class) => self.wait(id, *class),
            };
            context.leases.settled(id, &outcome, wait);
        }
    }

    /// Returns the time until entry `id` is settled again; `None` gives it up.
    fn wait(&self, id: u64, class: Class) -> Option<Duration> {
        let context = self.base.context();
        let attempts = context.leases.attempts(id) + 1;
        let history = History { attempts, max_attempts: context.settings.lease_manager.attempts, ..History::default() };
        let backoff = || {
            let mut backoff = Backoff::new(&context.settings.retry);
            for _ in 1..attempts {
                backoff.next(&context.jitter);
            }
            backoff.next(&context.jitter)
        };
        match route(class, &history) {
            Strategy::Retry | Strategy::Await => Some(backoff()),
            Strategy::Brake(after) => Some(after.unwrap_or_else(backoff)),
            Strategy::Leave(reason @ (FatalReason::DependencyDown | FatalReason::Misconfigured(_))) => {
                self.base.tools.end_run(reason, "leases cannot be settled");
                None
            }
            Strategy::Leave(FatalReason::Engine | FatalReason::HostFault | FatalReason::Hang)
            | Strategy::Release
            | Strategy::Halve
            | Strategy::Rebuild
            | Strategy::SetAside
            | Strategy::Retire
            | Strategy::Isolate
            | Strategy::Reject
            | Strategy::RunAlone
            | Strategy::Drop
            | Strategy::Restart => None,
        }
    }

    /// Wakes when a settlement is due or becomes due, after a short delay in which others can join the batch.
    fn set_alarm(&mut self, ctx: &mut Context<Self>) {
        if self.alarm.is_some() {
            return;
        }
        let context = Arc::clone(&self.base.tools.context);
        let alarm = async move {
            let due = context.leases.due.notified();
            match context.leases.next_due() {
                Some(at) => tokio::select! { biased; () = due => {}, () = sleep_until(at) => {} },
                None => due.await,
            }
            sleep(context.settings.lease_manager.linger).await;
        };
        self.alarm = Some(ctx.spawn(alarm.into_actor(self).map(|(), manager, ctx| {
            manager.alarm = None;
            manager.pump(ctx);
        })));
    }

    fn renew(&mut self, ctx: &mut Context<Self>) {
        let third = self.base.context().ports.queue.visibility() / 3;
        loop {
            let stale = self.base.context().leases.take_stale(third, self.base.context().settings.lease_manager.batch);
            if stale.is_empty() {
                return;
            }
            let renewed =
                renew(Arc::clone(&self.base.tools.context), stale).instrument(tracing::trace_span!("keeper.renew"));
            ctx.spawn(renewed.into_actor(self).map(|(asked, renewed), manager, ctx| {
                for (id, outcome) in renewed {
                    manager.base.context().leases.renewed(id, asked, &outcome);
                }
                manager.leave_if_idle(ctx);
            }));
        }
    }

    fn leave_if_idle(&mut self, ctx: &mut Context<Self>) {
        if self.base.shutdown.is_some() && self.base.in_flight == 0 && self.base.context().leases.is_empty() {
            self.base.stop(ctx);
        }
    }
}

impl Actor for LeaseManager {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let often = (self.base.context().ports.queue.visibility() / 15).max(Duration::from_millis(10));
        ctx.run_interval(often, Self::renew);
        self.pump(ctx);
    }
}

impl Handler<Shutdown> for LeaseManager {
    type Result = ();

    fn handle(&mut self, Shutdown(mode): Shutdown, ctx: &mut Self::Context) {
        self.base.shutdown = Some(mode);
        self.pump(ctx);
    }
}

abortable!(LeaseManager);
