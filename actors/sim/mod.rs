//! A seeded world of fakes and faults on a paused clock: hours of timers in milliseconds, and every run repeats exactly.
//!
//! [`run`] lets a worker run in a world where a [`Scenario`] goes wrong, then calm workers until the queue is empty, and
//! checks after each what must always hold: everything fetched has ended in one state, what was acknowledged is stored,
//! credits and leases are back, drains keep their deadline, exit codes are those of the table, and in the end the store
//! holds what a run without faults would have stored.

pub mod batch;
pub mod cell;
mod check;
pub mod fleet;
pub mod images;
pub mod lost;
pub mod queue;
pub mod scenario;
pub mod store;
pub mod world;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use crate::blocking::Blocking;
use crate::concurrency::{Bounds, Limits};
use crate::drain::Drain;
use crate::error::backoff::RetrySettings;
use crate::exit::Exit;
use crate::gallery::{GalleryId, GalleryRule};
use crate::message::Intake;
use crate::ports::Ports;
use crate::ports::engine::Engine;
use crate::progress::Summary;
use crate::settings::{Probe, Settings, Timeouts};
use crate::sim::images::SimImages;
use crate::sim::queue::SimQueue;
pub use crate::sim::scenario::{Kind, Scenario};
use crate::sim::store::SimFaces;
use crate::sim::world::{Violation, World};

/// No simulated worker takes longer.
const LIMIT: Duration = Duration::from_secs(4 * 3600);

/// Workers until the queue is empty, the first included: an image is received at most six times before it is rejected.
const WORKERS: usize = 12;

/// What came of a simulated run.
#[derive(Debug)]
pub struct Report {
    /// The seed it follows from.
    pub seed: u64,
    /// How each worker ended and what it did, the one with faults first.
    pub workers: Vec<(Exit, Summary)>,
    /// Invariants that did not hold.
    pub violations: Vec<Violation>,
    /// What happened when.
    pub trace: Vec<String>,
}

impl Report {
    /// The worker in whose time things went wrong.
    pub fn first(&self) -> &(Exit, Summary) {
        &self.workers[0]
    }
}

/// Settings that suit a simulated world.
fn settings(seed: u64, world: &World, first: bool) -> Settings {
    let seconds = Duration::from_secs;
    let world = world.clone();
    let mut settings = Settings {
        model: String::from("sim-1"),
        intake: Intake {
            gallery: GalleryRule::Always(GalleryId(String::from("even"))),
            results: String::new(),
            thumbnails: None,
        },
        limits: Limits { downloads: 4, decodes: 2 },
        bounds: Bounds { least: Limits { downloads: 1, decodes: 1 }, most: Limits { downloads: 8, decodes: 4 } },
        timeouts: Timeouts {
            queue: seconds(25),
            object: seconds(5),
            engine: seconds(30),
            rebuild: seconds(30),
            store: seconds(5),
        },
        retry: RetrySettings { max: seconds(3), ..RetrySettings::default() },
        release_delay: seconds(3),
        watchdog: seconds(100),
        finish_deadline: seconds(3600),
        progress_every: seconds(10),
        blocking: Blocking::InPlace,
        seed,
        probe: Probe(Some(Arc::new(move |stage| world.pass(stage)))),
        ..Settings::default()
    };
    settings.batch.age = Duration::from_millis(50);
    if !first {
        // A run that was interrupted before it grouped leaves this to the next.
        settings.grouper.always = ["even", "odd"].map(|gallery| GalleryId(String::from(gallery))).to_vec();
    }
    settings
}

/// How a worker is reported that did not end. It still runs: there is nothing to learn from another.
fn did_not_end() -> Exit {
    Exit::Hang(String::from("the simulated worker did not end"))
}

/// One worker, from start to end.
async fn work(seed: u64, world: &World, queue: &SimQueue, store: &SimFaces, first: bool) -> (Exit, Summary) {
    let scenario = world.scenario();
    let engines = (0..scenario.devices).map(|_| Arc::new(SimImages::new(world)) as Arc<dyn Engine>).collect();
    let images = Arc::new(SimImages::new(world));
    let ports = Ports {
        queue: Arc::new(queue.clone()),
        objects: images.clone(),
        analyses: None,
        decoder: images,
        engines,
        faces: Arc::new(store.clone()),
        reconcile: Some(Arc::new(|_, snapshot| store::reconcile(snapshot))),
    };
    let mut settings = settings(seed, world, first);
    (scenario.tune)(&mut settings);
    let running = crate::start(ports, settings);
    let leftovers = running.leftovers();
    let progress = running.progress();
    let mut asked = None;
    let finished = {
        let drainer = running.drainer();
        let finished = running.finished();
        tokio::pin!(finished);
        let limited = async {
            if let Some((at, mode, deadline)) = scenario.drain {
                if let Ok(early) = timeout(at, &mut finished).await {
                    return Some(early);
                }
                world.note(|| format!("drain {mode:?} within {deadline:?}"));
                world.allow(80, mode == crate::Mode::HandBack);
                asked = Some((Instant::now(), deadline));
                drainer(Drain { mode, deadline });
            }
            timeout(LIMIT, &mut finished).await.ok()
        };
        limited.await
    };
    let Some((exit, summary)) = finished else {
        let seen = progress.borrow().clone();
        world.violation(format!("the worker did not end: {:?} {:?}", leftovers(), seen.stages));
        return (did_not_end(), Summary::default());
    };
    world.note(|| format!("ended: {exit}, {:?}", summary.counts));
    if let Some((since, deadline)) = asked
        && since.elapsed() > deadline + Duration::from_millis(10)
    {
        world.violation(format!("the drain took {:?}, more than {deadline:?}", since.elapsed()));
    }
    // What dies with the actors is dropped a turn later.
    sleep(Duration::from_millis(1)).await;
    check::worker(world, store, &exit, &summary, leftovers());
    (exit, summary)
}

/// Runs a world. The same seed and scenario give the same report.
pub fn run(seed: u64, scenario: &Scenario) -> Report {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            let violations = vec![format!("no runtime: {error}")];
            return Report { seed, workers: Vec::new(), violations, trace: Vec::new() };
        }
    };
    let scenario = scenario.clone();
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async move {
        let world = World::new(seed, scenario.clone());
        let store = SimFaces::new(&world);
        let queue = SimQueue::new(&world, &store);
        let mut workers = vec![work(seed, &world, &queue, &store, true).await];
        world.begin(scenario.calmed());
        let stuck = |workers: &[(Exit, Summary)]| workers.iter().any(|(exit, _)| *exit == did_not_end());
        while workers.len() < WORKERS && !stuck(&workers) {
            world.note(|| String::from("a calm worker begins"));
            let (exit, summary) = work(seed, &world, &queue, &store, false).await;
            let done = exit == Exit::Drained;
            workers.push((exit, summary));
            if done {
                break;
            }
            world.begin(scenario.calmed());
        }
        check::end(&world, &scenario, &queue, &store);
        let (trace, violations) = world.take();
        Report { seed, workers, violations, trace }
    })
}

/// Runs the random scenario of a seed and prints what happened when.
pub fn replay(seed: u64) -> Report {
    let scenario = Scenario::random(seed);
    println!("seed {seed}: {scenario:#?}");
    let report = run(seed, &scenario);
    report.trace.iter().for_each(|line| println!("{line}"));
    for (exit, summary) in &report.workers {
        println!("exit {}: {exit}; {:?}", exit.code(), summary.counts);
    }
    report.violations.iter().for_each(|violation| println!("violation: {violation}"));
    report
}
