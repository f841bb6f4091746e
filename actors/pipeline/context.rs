//! What every actor has in hand: settings, ports, counters, leases, credits, and where the others stand.

use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, Context, Message};

use crate::domain::exit::Exit;
use crate::errors::backoff::Jitter;
use crate::errors::route::{Leave, Strategy};
use crate::flow::credit::Credits;
use crate::flow::lease_table::Book;
use crate::flow::progress::Stage;
use crate::flow::retry::{GaveUp, Retrier};
use crate::flow::run_stats::Ledger;
use crate::pipeline::batcher::Batcher;
use crate::pipeline::device::Device;
use crate::pipeline::downloader::Downloader;
use crate::pipeline::fetcher::Fetcher;
use crate::pipeline::grouper::{Dirty, Grouper};
use crate::pipeline::item::{Finished, Item, Source};
use crate::pipeline::keeper::Keeper;
use crate::pipeline::prefilter::Prefilter;
use crate::pipeline::settings::Settings;
use crate::pipeline::writer::Writer;
use crate::ports::Ports;
use crate::ports::decoder::Decoder;
use crate::runtime::actor_ref::Outlet;
use crate::runtime::drain::Mode;
use crate::runtime::exit_guard::ExitGuard;
use crate::runtime::heartbeat::Heart;
use crate::runtime::supervisor::{Fault, Supervisor};

/// Shared by all actors of one pipeline.
pub(crate) struct Crew {
    pub(crate) settings: Settings,
    pub(crate) ports: Ports,
    pub(crate) ledger: Ledger,
    pub(crate) book: Arc<Book>,
    pub(crate) credits: Credits,
    pub(crate) jitter: Arc<Jitter>,
    pub(crate) dirty: Dirty,
    pub(crate) supervisor: Outlet<Supervisor>,
    pub(crate) fetcher: Outlet<Fetcher>,
    pub(crate) prefilter: Outlet<Prefilter>,
    pub(crate) downloader: Outlet<Downloader>,
    pub(crate) batcher: Outlet<Batcher>,
    pub(crate) devices: Vec<Outlet<Device>>,
    pub(crate) writer: Outlet<Writer>,
    pub(crate) grouper: Outlet<Grouper>,
    pub(crate) keeper: Outlet<Keeper>,
}

impl Crew {
    pub(crate) fn new(ports: Ports, settings: Settings) -> Self {
        let ledger = Ledger::new(settings.max_rejections);
        let credits = settings.credits;
        Self {
            book: Book::new(ports.queue.visibility(), &settings, ledger.clone()),
            credits: Credits::new(credits.count, credits.bytes),
            jitter: Arc::new(Jitter::new(settings.seed)),
            dirty: Dirty::new(&settings.grouper.always),
            devices: ports.engines.iter().map(|_| Outlet::default()).collect(),
            supervisor: Outlet::default(),
            fetcher: Outlet::default(),
            prefilter: Outlet::default(),
            downloader: Outlet::default(),
            batcher: Outlet::default(),
            writer: Outlet::default(),
            grouper: Outlet::default(),
            keeper: Outlet::default(),
            settings,
            ports,
            ledger,
        }
    }

    /// Asks the Supervisor to end the run.
    pub(crate) fn fault(&self, exit: Exit) {
        // Without a supervisor the run has ended already.
        let _ = self.supervisor.tell(Fault(exit));
    }

    /// Asks the Supervisor to end the run because a call of `stage` was given up for good.
    pub(crate) fn leave(&self, leave: Leave, stage: Stage, message: &str) {
        let detail = format!("{}: {message}", stage.as_str());
        self.fault(match leave {
            Leave::DependencyDown => Exit::DependencyDown(detail),
            Leave::Engine => Exit::Engine(detail),
            Leave::HostFault => Exit::HostFault(detail),
            Leave::Hang => Exit::Hang(detail),
            Leave::Misconfigured(mend) => Exit::Misconfigured(mend, detail),
        });
    }

    /// Devices that are alive beside the one that asks.
    pub(crate) fn other_devices(&self) -> usize {
        let lost = usize::try_from(self.ledger.devices_lost()).unwrap_or(usize::MAX);
        self.devices.len().saturating_sub(1).saturating_sub(lost)
    }

    /// The decoder for an image: one that may have been the death of a worker is decoded apart.
    pub(crate) fn decoder(&self, item: &Item) -> Arc<dyn Decoder> {
        let apart = item.receive_count >= self.settings.fetcher.apart_at;
        Arc::clone(if apart { &self.ports.apart } else { &self.ports.decoder })
    }

    /// A delay under full jitter for an image that is given back.
    pub(crate) fn release_delay(&self) -> Duration {
        self.jitter.full(self.settings.release_delay)
    }

    /// Hands a result to the Writer; when nobody stands there any more, the image is released.
    pub(crate) async fn finish(&self, finished: Finished) {
        drop(self.writer.send(finished).await);
    }

    /// What becomes of an item whose call in `stage` was given up.
    pub(crate) async fn give_up(&self, item: Item, source: &Source, gave_up: GaveUp, stage: Stage) {
        let GaveUp { failure, strategy } = gave_up;
        match (strategy, failure.rejection) {
            (Strategy::Reject, Some(rejection)) => {
                self.finish(item.rejected(source, rejection, &self.settings.model)).await;
            }
            (Strategy::Drop, _) => drop(item),
            (Strategy::Leave(leave), _) => {
                item.lease.release(self.release_delay());
                self.leave(leave, stage, &failure.message);
            }
            (
                Strategy::Reject
                | Strategy::Retry
                | Strategy::Await
                | Strategy::Brake(_)
                | Strategy::Release
                | Strategy::Halve
                | Strategy::Rebuild
                | Strategy::SetAside
                | Strategy::Retire
                | Strategy::Isolate
                | Strategy::RunAlone
                | Strategy::Restart,
                _,
            ) => item.lease.release(self.release_delay()),
        }
    }
}

/// What every child is given at its birth.
pub(crate) struct Post {
    pub(crate) crew: Arc<Crew>,
    pub(crate) guard: ExitGuard,
    pub(crate) heart: Heart,
    /// Set by the Supervisor's [`Leaving`].
    pub(crate) leaving: Option<Mode>,
    /// Pieces of work that were spawned and have not ended.
    pub(crate) in_flight: usize,
}

impl Post {
    pub(crate) fn new(crew: Arc<Crew>, guard: ExitGuard, heart: Heart) -> Self {
        Self { crew, guard, heart, leaving: None, in_flight: 0 }
    }

    /// Retries for the calls of this child, counted for its stage.
    pub(crate) fn retrier(&self, stage: Stage) -> Retrier {
        let (jitter, heart) = (Arc::clone(&self.crew.jitter), self.heart.clone());
        Retrier::new(self.crew.settings.retry, jitter, heart, self.crew.ledger.clone(), stage)
    }

    /// Stops the actor in good order.
    pub(crate) fn stop<A: Actor<Context = Context<A>>>(&mut self, ctx: &mut Context<A>) {
        use actix::ActorContext;
        self.guard.drained();
        ctx.stop();
    }

    /// Stops the actor in good order although there is work: the run goes on without it.
    pub(crate) fn retire<A: Actor<Context = Context<A>>>(&mut self, ctx: &mut Context<A>) {
        use actix::ActorContext;
        self.guard.retired();
        ctx.stop();
    }
}

/// To a child: everything in front of you has ended; end too, in this mode.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Leaving(pub(crate) Mode);

/// To a child: your time is over.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Abort;

/// Every child can be stopped at once: what it holds is dropped, and so released.
macro_rules! abortable {
    ($actor:ty) => {
        impl actix::Handler<$crate::pipeline::context::Abort> for $actor {
            type Result = ();
            fn handle(&mut self, _: $crate::pipeline::context::Abort, ctx: &mut actix::Context<Self>) {
                actix::ActorContext::terminate(ctx);
            }
        }
    };
}
pub(crate) use abortable;
