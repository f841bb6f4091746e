//! Wires the actors of a pipeline, and starts a pipeline.

use std::sync::Arc;

use actix::{Actor, Addr, Context, Handler};
use tokio::sync::{oneshot, watch};

use crate::domain::exit::Exit;
use crate::flow::progress::{Progress, Stage, Summary};
use crate::pipeline::batcher::Batcher;
use crate::pipeline::context::{ActorBase, PipelineContext};
use crate::pipeline::device::Device;
use crate::pipeline::downloader::Downloader;
use crate::pipeline::fetcher::{Fetcher, Forward};
use crate::pipeline::grouper::Grouper;
use crate::pipeline::lease_manager::LeaseManager;
use crate::pipeline::prefilter::Prefilter;
use crate::pipeline::results::ResultSink;
use crate::pipeline::settings::{FetcherSettings, Reads, Settings};
use crate::pipeline::writer::Writer;
use crate::ports::faces::Faces;
use crate::ports::none::NoImages;
use crate::ports::queue::Queue;
use crate::ports::releases::Releases;
use crate::ports::{Ports, Reconcile};
use crate::runtime::actor_ref::ActorRef;
use crate::runtime::child::{Child, Phase};
use crate::runtime::drain::Drain;
use crate::runtime::hooks::{RunHooks, SupervisorSettings};
use crate::runtime::shutdown::{Abort, Shutdown};
use crate::runtime::supervisor::Supervisor;
use crate::runtime::supervisor_ref::Fault;

/// A handle to a running pipeline.
pub struct Running {
    context: Arc<PipelineContext>,
    supervisor: Addr<Supervisor>,
    progress: watch::Receiver<Progress>,
    done: oneshot::Receiver<Exit>,
}

impl Running {
    /// Returns the progress of the run, which is updated every [`Settings::progress_every`].
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.clone()
    }

    /// Asks the pipeline to end. A later, tighter drain overtakes an earlier one.
    pub fn drain(&self, drain: Drain) {
        self.supervisor.do_send(drain);
    }

    /// Returns a function that asks the pipeline to end, for use elsewhere, such as in a signal handler.
    pub fn drainer(&self) -> impl Fn(Drain) + Clone + Send + Sync + 'static {
        let supervisor = self.supervisor.clone();
        move |drain| supervisor.do_send(drain)
    }

    /// Returns a function that ends the run because of a fault that is seen outside the pipeline, such as by a monitor
    /// of the devices.
    pub fn faults(&self) -> impl Fn(Exit) + Clone + Send + Sync + 'static {
        let supervisor = self.supervisor.clone();
        move |exit| supervisor.do_send(Fault(exit))
    }

    /// Waits until the pipeline has ended, and returns how it ended and what it did.
    pub async fn finished(self) -> (Exit, Summary) {
        let exit = self.done.await.unwrap_or_else(|_| Exit::Bug(String::from("the supervisor died")));
        (exit, self.context.stats.progress())
    }

    /// Returns a function that tells what the pipeline has not given back, for the simulation.
    #[cfg(feature = "sim")]
    pub(crate) fn leftovers(&self) -> impl Fn() -> Leftovers + 'static {
        let context = Arc::clone(&self.context);
        move || {
            let credits = if context.credits.all_returned() { 0 } else { context.credits.in_use().max(1) };
            Leftovers { credits, leases: context.leases.len(), lost_messages: context.leases.lost_messages() }
        }
    }
}

/// The credits and leases that a pipeline has not given back.
#[cfg(feature = "sim")]
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Leftovers {
    /// Credits that did not come back.
    pub(crate) credits: usize,
    /// Leases that were not settled.
    pub(crate) leases: usize,
    /// Messages whose lease was lost.
    pub(crate) lost_messages: u64,
}

/// The order in which the actors end in a drain, from the front to the end.
#[derive(Clone, Copy)]
enum Turn {
    Fetch,
    Prefilter,
    Download,
    Batch,
    Device,
    Write,
    Group,
    Keep,
}

impl From<Turn> for Phase {
    fn from(turn: Turn) -> Self {
        Self(turn as u8)
    }
}

/// Builds a child whose factory makes its actor from an [`ActorBase`].
fn child<A>(
    context: &Arc<PipelineContext>,
    (name, turn, stage): (impl Into<String>, Turn, Stage),
    actor: &ActorRef<A>,
    make: impl Fn(ActorBase) -> A + 'static,
) -> Child
where
    A: Actor<Context = Context<A>> + Handler<Shutdown> + Handler<Abort>,
{
    let context = Arc::clone(context);
    Child::new(name, turn.into(), actor.clone(), move |supervision| {
        make(ActorBase::new(Arc::clone(&context), stage, supervision))
    })
}

/// Wires the actors from back to front: each gets references to those that it sends to, and to no others.
fn build(context: &Arc<PipelineContext>) -> Vec<Child> {
    // The LeaseManager starts first, because leases must be renewed from the first message on. No actor sends to it; it
    // reads the table of leases.
    let mut children =
        vec![child(context, ("keeper", Turn::Keep, Stage::LeaseManager), &ActorRef::default(), LeaseManager::new)];
    // In a worker without a Grouper nothing opens this reference, and what is sent to it is dropped.
    let grouper = ActorRef::default();
    if context.ports.reconcile.is_some() {
        children.push(child(context, ("grouper", Turn::Group, Stage::Grouper), &grouper, Grouper::new));
    }
    let mut devices = Vec::new();
    let forward = match context.settings.fetcher.reads {
        Reads::Galleries => Forward::Galleries(grouper),
        Reads::Images => {
            let writer = ActorRef::default();
            let make = move |base| Writer::new(base, grouper.clone());
            children.push(child(context, ("writer", Turn::Write, Stage::Writer), &writer, make));
            let results = ResultSink::new(writer);

            let batcher = ActorRef::default();
            children.push(child(context, ("batcher", Turn::Batch, Stage::Batcher), &batcher, Batcher::new));

            for number in 0..context.ports.engines.len() {
                let (batcher, results) = (batcher.clone(), results.clone());
                let make = move |base| Device::new(base, number, batcher.clone(), results.clone());
                let name = format!("device {number}");
                devices.push(child(context, (name, Turn::Device, Stage::Device), &ActorRef::default(), make));
            }

            let downloader = ActorRef::default();
            let sink = results.clone();
            let make = move |base| Downloader::new(base, batcher.clone(), sink.clone());
            children.push(child(context, ("downloader", Turn::Download, Stage::Downloader), &downloader, make));

            let prefilter = ActorRef::default();
            let sink = results.clone();
            let make = move |base| Prefilter::new(base, downloader.clone(), sink.clone());
            children.push(child(context, ("prefilter", Turn::Prefilter, Stage::Prefilter), &prefilter, make));

            Forward::Images { prefilter, results }
        }
    };
    let make = move |base| Fetcher::new(base, forward.clone());
    children.push(child(context, ("fetcher", Turn::Fetch, Stage::Fetcher), &ActorRef::default(), make));
    children.extend(devices);
    children
}

/// The reactions of a pipeline to restarts and drains by its supervisor.
struct Hooks {
    context: Arc<PipelineContext>,
    progress: watch::Sender<Progress>,
}

impl RunHooks for Hooks {
    fn restarting(&self, child: &str) {
        self.context.stats.note(|p| *p.restarts.entry(child.to_owned()).or_default() += 1);
    }

    fn hand_back(&self, exit: Option<&Exit>) {
        self.context.leases.hand_back(matches!(exit, Some(Exit::Hang(_))));
    }

    fn stragglers(&self, names: Vec<String>) {
        self.context.stats.note(|p| p.stragglers.extend(names));
    }

    fn abandon(&self) -> usize {
        self.context.leases.abandon()
    }

    fn exit(&self, exit: Exit) -> Exit {
        exit.with_losses(self.context.stats.devices_lost(), self.context.ports.engines.len())
    }

    fn publish(&self) {
        self.progress.send_replace(self.context.stats.progress());
    }
}

/// Starts a worker that groups the galleries for which the messages of `queue` ask. Like [`start`], it must be called
/// inside an actix `System` or a tokio `LocalSet`.
pub fn start_grouping(
    queue: Arc<dyn Queue>,
    releases: Arc<dyn Releases>,
    faces: Arc<dyn Faces>,
    reconcile: Reconcile,
    settings: Settings,
) -> Running {
    let none = Arc::new(NoImages);
    let ports = Ports {
        queue,
        releases,
        objects: Arc::clone(&none) as _,
        analyses: None,
        decoder: Arc::clone(&none) as _,
        isolated_decoder: none,
        engines: Vec::new(),
        faces,
        reconcile: Some(reconcile),
    };
    let fetcher = FetcherSettings { reads: Reads::Galleries, ..settings.fetcher };
    start(ports, Settings { fetcher, ..settings })
}

/// Starts a pipeline. Must be called inside an actix `System` or a tokio `LocalSet`.
pub fn start(ports: Ports, settings: Settings) -> Running {
    let supervision = SupervisorSettings {
        intensity: settings.intensity,
        watchdog: settings.watchdog,
        drain_deadline: settings.drain_deadline,
        finish_deadline: settings.finish_deadline,
        publish_every: settings.progress_every,
        together: Turn::Device.into(),
        settles: Turn::Keep.into(),
    };
    let context = Arc::new(PipelineContext::new(ports, settings));
    let (done, ended) = oneshot::channel();
    let (publish, progress) = watch::channel(context.stats.progress());
    let hooks = Hooks { context: Arc::clone(&context), progress: publish };
    let supervisor = Supervisor::new(supervision, Box::new(hooks), build(&context), done).start();
    Running { context, supervisor, progress, done: ended }
}
