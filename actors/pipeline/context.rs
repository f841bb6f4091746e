//! The context that the actors of a pipeline share, and the base of each actor.

use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, ActorContext, Context};

use crate::domain::exit::Exit;
use crate::errors::backoff::Jitter;
use crate::errors::route::{FatalReason, Strategy, route};
use crate::errors::{Class, History};
use crate::flow::credit::Credits;
use crate::flow::dirty_galleries::DirtyGalleries;
use crate::flow::lease::Lease;
use crate::flow::lease_table::{LeaseRules, LeaseTable};
use crate::flow::progress::Stage;
use crate::flow::retry::Retrier;
use crate::flow::run_stats::{RunStats, StageTimer};
use crate::pipeline::item::Item;
use crate::pipeline::settings::Settings;
use crate::ports::Ports;
use crate::ports::decoder::Decoder;
use crate::runtime::child::Supervision;
use crate::runtime::drain::Mode;
use crate::runtime::exit_guard::ExitGuard;
use crate::runtime::heartbeat::Heartbeat;
use crate::runtime::supervisor_ref::SupervisorRef;

/// The state that all actors of one pipeline share. It outlives each of them.
pub(crate) struct PipelineContext {
    pub(crate) settings: Settings,
    pub(crate) ports: Ports,
    pub(crate) stats: RunStats,
    pub(crate) leases: Arc<LeaseTable>,
    pub(crate) credits: Credits,
    pub(crate) jitter: Arc<Jitter>,
    pub(crate) dirty: DirtyGalleries,
}

impl PipelineContext {
    pub(crate) fn new(ports: Ports, settings: Settings) -> Self {
        let stats = RunStats::new(settings.max_rejections);
        let rules = LeaseRules {
            visibility: ports.queue.visibility(),
            bound: settings.lease_manager.bound,
            drop_delay: settings.drop_delay,
            settles_lost: settings.settles_lost_leases(),
        };
        Self {
            leases: LeaseTable::new(rules, stats.clone()),
            credits: Credits::new(settings.credits.count, settings.credits.bytes),
            jitter: Arc::new(Jitter::new(settings.seed)),
            dirty: DirtyGalleries::new(&settings.grouper.always),
            settings,
            ports,
            stats,
        }
    }

    /// Returns the number of devices that work beside the one that asks.
    pub(crate) fn other_devices(&self) -> usize {
        let lost = usize::try_from(self.stats.devices_lost()).unwrap_or(usize::MAX);
        self.ports.engines.len().saturating_sub(1).saturating_sub(lost)
    }

    /// Returns the decoder for an image. An image that may have killed a worker is decoded in a
    /// process of its own.
    pub(crate) fn decoder(&self, item: &Item) -> Arc<dyn Decoder> {
        let apart = item.deaths + 1 >= self.settings.fetcher.apart_at;
        Arc::clone(if apart { &self.ports.isolated_decoder } else { &self.ports.decoder })
    }

    /// Returns whether an item had so many receives without an end that it is rejected as a likely
    /// killer of workers.
    pub(crate) fn is_worn(&self, deaths: u32) -> bool {
        let history = History { deaths, max_receives: self.settings.fetcher.max_receives, ..History::default() };
        route(Class::Suspect, &history) == Strategy::Reject
    }

    /// Returns a random delay ("full jitter") for an image that is given back.
    pub(crate) fn release_delay(&self) -> Duration {
        self.jitter.full(self.settings.release_delay)
    }
}

/// The tools with which the work of one stage is done outside its actor. Cloning them into a future
/// is cheap.
#[derive(Clone)]
pub(crate) struct StageTools {
    pub(crate) context: Arc<PipelineContext>,
    pub(crate) heartbeat: Heartbeat,
    /// Retries the stage's calls, and counts them in its statistics.
    pub(crate) retrier: Retrier,
    stage: Stage,
    supervisor: SupervisorRef,
}

impl StageTools {
    /// Starts to measure a piece of the stage's work on `items` items.
    pub(crate) fn timer(&self, items: usize) -> StageTimer {
        self.context.stats.begin(self.stage, items)
    }

    /// Gives an image back that is not at fault, visible again after a jittered delay.
    pub(crate) fn release(&self, lease: Lease) {
        lease.release(self.context.release_delay());
    }

    /// Gives an image back that may have broken something, visible again after a jittered delay.
    pub(crate) fn fail(&self, lease: Lease) {
        lease.fail(self.context.release_delay());
    }

    /// Asks the supervisor to end the run.
    pub(crate) fn fault(&self, exit: Exit) {
        self.supervisor.fault(exit);
    }

    /// Asks the supervisor to end the run for a reason that arose in this stage.
    pub(crate) fn end_run(&self, reason: FatalReason, message: &str) {
        self.fault(reason.exit(format!("{}: {message}", self.stage.as_str())));
    }

    /// Tells the supervisor that all work is done and settled.
    pub(crate) fn all_done(&self) {
        self.supervisor.all_done();
    }
}

/// The base of every actor of a pipeline: its tools and the state of its end.
pub(crate) struct ActorBase {
    pub(crate) tools: StageTools,
    /// Set when the supervisor asks the actor to end.
    pub(crate) shutdown: Option<Mode>,
    /// Number of spawned pieces of work that have not ended.
    pub(crate) in_flight: usize,
    guard: ExitGuard,
}

impl ActorBase {
    pub(crate) fn new(context: Arc<PipelineContext>, stage: Stage, supervision: Supervision) -> Self {
        let Supervision { guard, heartbeat, supervisor } = supervision;
        let (retry, jitter) = (context.settings.retry, Arc::clone(&context.jitter));
        let retrier = Retrier::new(retry, jitter, heartbeat.clone(), context.stats.clone(), stage);
        let tools = StageTools { context, heartbeat, retrier, stage, supervisor };
        Self { tools, shutdown: None, in_flight: 0, guard }
    }

    pub(crate) fn context(&self) -> &PipelineContext {
        &self.tools.context
    }

    /// Runs the probe at which simulated faults strike. Each handler calls it first.
    pub(crate) fn probe(&self) {
        self.context().settings.probe.pass(self.tools.stage);
    }

    /// Stops the actor after it was told to end and has nothing left to do.
    pub(crate) fn stop<A: Actor<Context = Context<A>>>(&mut self, ctx: &mut Context<A>) {
        self.guard.drained();
        ctx.stop();
    }

    /// Stops the actor for good although work is left; the run goes on without it.
    pub(crate) fn retire<A: Actor<Context = Context<A>>>(&mut self, ctx: &mut Context<A>) {
        self.guard.retired();
        ctx.stop();
    }
}
