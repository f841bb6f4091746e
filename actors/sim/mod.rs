//! A seeded world of fakes and faults on a paused clock: hours of timers in milliseconds, and every run repeats exactly.
//!
//! [`run`] lets workers run in a world where a [`Scenario`] goes wrong: those of a fleet side by side, started again as they
//! end or are taken away, or the one of a laptop; then in calm until the queues are empty. It checks what must always hold:
//! everything fetched has ended in one state, what was acknowledged is stored, credits and leases are back, leases are kept,
//! drains keep their deadline, exit codes are those of the table, and in the end the store holds what a run without
//! faults would have stored. A schedule that fails is made smaller before it is replayed.

pub mod batch;
pub mod call_loss;
pub mod cas_object;
mod check;
mod faulty_engine;
pub mod fleet;
mod host;
mod images;
mod notifications;
pub mod planted_bugs;
mod queue;
mod random;
mod refusal;
mod scenario;
mod script;
mod shrink;
mod start;
mod store;
mod stored;
mod worker;
mod world;

use std::cell::Cell;
use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::{sleep, timeout};

use crate::domain::exit::Exit;
use crate::flow::progress::Summary;
pub use crate::sim::faulty_engine::EngineCall;
pub use crate::sim::refusal::{Refusal, RefusalAnswer, RefusedCall};
pub use crate::sim::scenario::{DrainNotice, FleetSize, HostFault, ImageKind, Scenario};
pub use crate::sim::script::{DeviceFault, FaultScript};
use crate::sim::store::SimFaces;
use crate::sim::worker::{SimSite, SimWorkerRole};
use crate::sim::world::{Violation, World};

/// No simulated world takes longer.
const LIMIT: Duration = Duration::from_secs(24 * 3600);

/// Workers of a laptop until the folder is finished, the first included: each of the images that kill a decoder kills one,
/// and no more.
const WORKERS: usize = 64;

/// From the end of a worker to the start of the next in its place.
const BOOT: Duration = Duration::from_secs(1);

/// What came of a simulated run.
#[derive(Debug)]
pub struct Report {
    /// The seed it follows from.
    pub seed: u64,
    /// How each worker ended that was not taken away, and what it did, in the order of their ends.
    pub workers: Vec<(Exit, Summary)>,
    /// What each device of the first worker was asked for.
    pub devices: Vec<Vec<EngineCall>>,
    /// Workers that were taken away.
    pub killed: usize,
    /// Images that an engine began with, repetitions included.
    pub analysed: u64,
    /// Invariants that did not hold.
    pub violations: Vec<Violation>,
    /// What happened when.
    pub trace: Vec<String>,
}

impl Report {
    /// The worker that ended first: on a laptop, the one in whose time things went wrong.
    pub fn first(&self) -> &(Exit, Summary) {
        &self.workers[0]
    }
}

/// One after another, until one finishes the folder.
async fn laptop(site: &SimSite) {
    for number in 0..WORKERS {
        let exit = site.life(number, SimWorkerRole::Both).await;
        site.world.calm();
        // The first may have been told to leave early.
        if (number > 0 && exit == Some(Exit::Drained)) || site.stuck() {
            return;
        }
    }
}

/// Workers of one kind in one place of a fleet, for as long as there is work for them.
async fn slot(site: &SimSite, service: SimWorkerRole, births: &Cell<usize>, detectors: &Cell<usize>) {
    let wanted = || {
        let images = site.images.open() > 0;
        match service {
            SimWorkerRole::Detect | SimWorkerRole::Both => images,
            // What a detector says last is that there is something to group.
            SimWorkerRole::Group => images || detectors.get() > 0 || site.galleries.open() > 0,
        }
    };
    while wanted() && !site.stuck() {
        let number = births.replace(births.get() + 1);
        let one = usize::from(service == SimWorkerRole::Detect);
        detectors.set(detectors.get() + one);
        site.life(number, service).await;
        detectors.set(detectors.get() - one);
        sleep(BOOT).await;
    }
}

async fn fleet(site: &SimSite, fleet: FleetSize, storm: Duration) {
    let (births, detectors) = (Cell::new(0), Cell::new(0));
    let services = [SimWorkerRole::Detect]
        .repeat(fleet.detectors)
        .into_iter()
        .chain([SimWorkerRole::Group].repeat(fleet.groupers));
    let slots = join_all(services.map(|service| slot(site, service, &births, &detectors)));
    tokio::pin!(slots);
    let taking = async {
        while let Some(wait) = site.world.look(|s| s.kill_every) {
            sleep(wait).await;
            site.kill_one();
        }
        sleep(LIMIT).await;
    };
    tokio::select! {
        biased;
        _ = &mut slots => return,
        () = sleep(storm) => site.world.calm(),
        () = taking => {}
    }
    slots.await;
}

/// Runs a world. The same seed and scenario give the same report.
pub fn run(seed: u64, scenario: &Scenario) -> Report {
    simulate(seed, scenario, true)
}

/// Runs a world without a trace: what a schedule among thousands needs.
pub fn violations(seed: u64, scenario: &Scenario) -> Vec<Violation> {
    simulate(seed, scenario, false).violations
}

fn simulate(seed: u64, scenario: &Scenario, told: bool) -> Report {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        // Only a machine without file descriptors; then nothing can be learnt.
        Err(error) => panic!("no runtime: {error}"),
    };
    let (mut report, store, excused) = runtime.block_on(live(seed, scenario, told));
    // Without faults it would have come to this.
    let mut calm = Scenario { fleet: None, ..scenario.calmed() };
    calm.planted_bug = None;
    let (expected, calm_store, also) = runtime.block_on(live(seed, &calm, false));
    report.violations.extend(expected.violations.iter().map(|violation| format!("in calm: {violation}")));
    let excused = &excused | &also;
    let (stored, expected) = (store.fingerprint(&excused), calm_store.fingerprint(&excused));
    if stored != expected {
        report.violations.push(format!("the store holds {stored}, and {expected} without faults"));
    }
    report
}

/// The report, the store, and the images that may have come to something else by chance.
async fn live(seed: u64, scenario: &Scenario, told: bool) -> (Report, SimFaces, BTreeSet<usize>) {
    let world = World::new(seed, scenario.clone(), told);
    let site = SimSite::new(seed, &world);
    let lives = async {
        match scenario.fleet {
            Some(workers) => fleet(&site, workers, scenario.storm).await,
            None => laptop(&site).await,
        }
    };
    if timeout(LIMIT, lives).await.is_err() {
        world.violation("the workers did not come to an end");
    }
    let excused = check::end(&site, scenario);
    let (trace, violations) = world.take();
    let store = site.store.clone();
    let devices = site.devices();
    let (workers, killed) = site.ended();
    let report = Report { seed, workers, devices, killed, analysed: world.total_analysed(), violations, trace };
    (report, store, excused)
}

/// Runs the random scenario of a seed and prints what happened when; one that fails, as small as it can be made.
pub fn replay(seed: u64) -> Report {
    let scenario = Scenario::random(seed);
    let (scenario, seed) = if violations(seed, &scenario).is_empty() {
        (scenario, seed)
    } else {
        shrink::shrink(seed, &scenario, |seed, scenario| !violations(seed, scenario).is_empty())
    };
    println!("seed {seed}: {scenario:#?}");
    let report = run(seed, &scenario);
    report.trace.iter().for_each(|line| println!("{line}"));
    for (exit, summary) in &report.workers {
        println!("exit {}: {exit}; {:?}", exit.code(), summary.counts);
    }
    report.violations.iter().for_each(|violation| println!("violation: {violation}"));
    report
}
