//! Who owns whom, and how a pipeline is started.

use std::sync::Arc;

use actix::{Actor, Addr};
use tokio::sync::{oneshot, watch};

use crate::domain::exit::Exit;
use crate::flow::progress::{Progress, Summary};
use crate::pipeline::batcher::Batcher;
use crate::pipeline::context::{Crew, Post};
use crate::pipeline::device::Device;
use crate::pipeline::downloader::Downloader;
use crate::pipeline::fetcher::Fetcher;
use crate::pipeline::grouper::Grouper;
use crate::pipeline::keeper::Keeper;
use crate::pipeline::prefilter::Prefilter;
use crate::pipeline::settings::{FetcherSettings, Reads, Settings};
use crate::pipeline::writer::Writer;
use crate::ports::faces::Faces;
use crate::ports::none::NoImages;
use crate::ports::queue::Queue;
use crate::ports::{Ports, Reconcile};
use crate::runtime::child::{Child, Phase};
use crate::runtime::drain::Drain;
use crate::runtime::supervisor::{Fault, Supervisor};

/// A pipeline that runs.
pub struct Running {
    crew: Arc<Crew>,
    supervisor: Addr<Supervisor>,
    progress: watch::Receiver<Progress>,
    done: oneshot::Receiver<Exit>,
}

impl Running {
    /// What was done so far; changes every [`Settings::progress_every`].
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.clone()
    }

    /// Asks the pipeline to end. A later, tighter drain overtakes an earlier one.
    pub fn drain(&self, drain: Drain) {
        self.supervisor.do_send(drain);
    }

    /// Something that can ask the pipeline to end from elsewhere, a signal handler for one.
    pub fn drainer(&self) -> impl Fn(Drain) + Clone + Send + Sync + 'static {
        let supervisor = self.supervisor.clone();
        move |drain| supervisor.do_send(drain)
    }

    /// Something that can end the run because of a fault that only others see, a monitor of the devices for one.
    pub fn faults(&self) -> impl Fn(Exit) + Clone + Send + Sync + 'static {
        let supervisor = self.supervisor.clone();
        move |exit| supervisor.do_send(Fault(exit))
    }

    /// Waits for the end: how it ended, and what was done.
    pub async fn finished(self) -> (Exit, Summary) {
        let exit = self.done.await.unwrap_or_else(|_| Exit::Bug(String::from("the supervisor died")));
        (exit, self.crew.ledger.progress())
    }

    /// Whether every credit came back and every lease was settled: what the simulation checks.
    #[cfg(feature = "sim")]
    pub(crate) fn leftovers(&self) -> impl Fn() -> (usize, usize) + 'static {
        let crew = Arc::clone(&self.crew);
        move || {
            let credits = if crew.credits.all_returned() { 0 } else { crew.credits.in_use().max(1) };
            (credits, crew.book.len())
        }
    }
}

/// The children, front to end.
fn children(crew: &Arc<Crew>) -> Vec<Child> {
    /// A child whose actor is made from its post alone.
    macro_rules! child {
        ($name:literal, $phase:expr, $outlet:ident, $actor:ty) => {{
            let its = Arc::clone(crew);
            Child::new($name, $phase, crew.$outlet.clone(), move |guard, heart| {
                <$actor>::new(Post::new(Arc::clone(&its), guard, heart))
            })
        }};
    }
    // The Keeper first: leases must be kept from the first message on.
    let mut children = vec![child!("keeper", Phase::Keep, keeper, Keeper)];
    if crew.ports.reconcile.is_some() {
        children.push(child!("grouper", Phase::Group, grouper, Grouper));
    }
    if crew.settings.fetcher.reads == Reads::Images {
        children.extend([
            child!("writer", Phase::Write, writer, Writer),
            child!("batcher", Phase::Batch, batcher, Batcher),
            child!("downloader", Phase::Download, downloader, Downloader),
            child!("prefilter", Phase::Prefilter, prefilter, Prefilter),
        ]);
    }
    children.push(child!("fetcher", Phase::Fetch, fetcher, Fetcher));
    for (number, outlet) in crew.devices.iter().enumerate() {
        let its = Arc::clone(crew);
        children.push(Child::new(format!("device {number}"), Phase::Device, outlet.clone(), move |guard, heart| {
            Device::new(Post::new(Arc::clone(&its), guard, heart), number)
        }));
    }
    children
}

/// Starts a worker that groups the galleries that the messages of `queue` ask for. Must be called where [`start`] may be.
pub fn start_grouping(
    queue: Arc<dyn Queue>,
    faces: Arc<dyn Faces>,
    reconcile: Reconcile,
    settings: Settings,
) -> Running {
    let none = Arc::new(NoImages);
    let ports = Ports {
        queue,
        objects: Arc::clone(&none) as _,
        analyses: None,
        decoder: Arc::clone(&none) as _,
        apart: none,
        engines: Vec::new(),
        faces,
        reconcile: Some(reconcile),
    };
    let fetcher = FetcherSettings { reads: Reads::Galleries, ..settings.fetcher };
    start(ports, Settings { fetcher, ..settings })
}

/// Starts a pipeline. Must be called inside an actix `System` or a tokio `LocalSet`.
pub fn start(ports: Ports, settings: Settings) -> Running {
    let crew = Arc::new(Crew::new(ports, settings));
    let (done, ended) = oneshot::channel();
    let (publish, progress) = watch::channel(crew.ledger.progress());
    let supervisor = Supervisor::new(Arc::clone(&crew), children(&crew), done, publish).start();
    Running { crew, supervisor, progress, done: ended }
}
