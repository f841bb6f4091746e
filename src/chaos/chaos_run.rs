//! Executes one run: sends the work, injects the faults of the plan into workers and services, and waits until the
//! queues are empty.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::ChaosError;
use super::plan::{ChaosFault, Dependency, FaultEvent};
use super::report::{Drains, Sample, TimelineEvent};
use super::site::{ProxiedServers, Site};
use super::workers::{Notice, StartupHandicap, WorkerEnd, WorkerKind, WorkerSlot, meaning};
use super::workload::{RequestedImage, Workload};

/// Time between SIGTERM and SIGKILL, as in AWS Batch.
const GRACE: Duration = Duration::from_secs(30);
/// Number of unexplained ends of workers at which the run is given up.
const STRANGE: usize = 20;
const TICK: Duration = Duration::from_millis(50);
const SAMPLE: Duration = Duration::from_secs(1);
/// Time after the last fault within which the work must end.
const COMPLETION_TIMEOUT: Duration = Duration::from_secs(1_200);
/// Number of workers that group, beside those that detect.
pub const GROUPERS: usize = 2;
/// Time after which a broken device works again, because a later worker has another device.
const MENDED: Duration = Duration::from_secs(20);

/// The inputs of a run.
pub struct RunSpec<'a> {
    /// Queues, buckets and databases of the run.
    pub site: &'a Site,
    /// Images and their messages.
    pub load: &'a Workload,
    /// Faults to inject; none in an undisturbed run.
    pub events: Vec<FaultEvent>,
    /// Time over which the messages are spread.
    pub length: Duration,
    /// Number of workers that detect.
    pub workers: usize,
    /// The program that the workers run.
    pub program: PathBuf,
}

/// The result of a run.
#[derive(Debug, Default)]
pub struct RunOutcome {
    /// Events of the timeline, in their order.
    pub moments: Vec<TimelineEvent>,
    /// Samples of the queue and the workers, one each second.
    pub samples: Vec<Sample>,
    /// Durations of drains.
    pub drains: Drains,
    /// Number of faults that ended a worker.
    pub kills: usize,
    /// Ends of workers that the error table does not explain.
    pub strange: Vec<String>,
    /// Seconds from the first message to the last.
    pub seconds: f64,
}

struct ChaosRun<'a> {
    run: &'a RunSpec<'a>,
    slots: Vec<WorkerSlot>,
    outcome: RunOutcome,
    began: Instant,
    /// Broken devices, with the time at which each works again.
    broken: Vec<(Instant, usize)>,
}

/// Restores the connection to a service after a while.
fn restore_later(servers: &Arc<ProxiedServers>, of: Dependency, after: Duration) {
    let servers = Arc::clone(servers);
    tokio::spawn(async move {
        sleep(after).await;
        servers.wire(of).set(true);
    });
}

impl ChaosRun<'_> {
    fn note(&mut self, who: &str, what: impl Into<String>) {
        let event = TimelineEvent { at: self.began.elapsed().as_secs_f64(), who: who.to_owned(), what: what.into() };
        tracing::info!(at = event.at, who, what = event.what, "chaos");
        self.outcome.moments.push(event);
    }

    fn ended(&mut self, slot: usize, ended: &WorkerEnd) {
        let name = self.slots[slot].name().to_owned();
        let means = meaning(ended);
        let lived = ended.lived.as_secs_f64();
        let drained =
            ended.drained.map_or(String::new(), |took| format!(", {:.1} s after its notice", took.as_secs_f64()));
        let what = format!("{} after {lived:.1} s{drained} ({})", means.unwrap_or("STRANGE"), ended.status);
        if means.is_none() {
            self.outcome.strange.push(format!("{name}: {what}"));
        }
        match (ended.drained, ended.killed) {
            (Some(took), false) => self.outcome.drains.clean.push(took.as_secs_f64()),
            (Some(_), true) if ended.overdue => self.outcome.drains.overdue += 1,
            (Some(_), true) => self.outcome.drains.cut += 1,
            (None, _) => {}
        }
        self.note(&name, what);
    }

    fn strike(&mut self, event: &FaultEvent) -> Result<(), ChaosError> {
        let servers = &self.run.site.servers;
        let number = event.slot % self.slots.len();
        let slot = &mut self.slots[number];
        let (full, little) = (
            StartupHandicap { full_disk: true, ..StartupHandicap::default() },
            StartupHandicap { little_memory: true, ..StartupHandicap::default() },
        );
        let struck = match event.fault {
            ChaosFault::Kill => slot.kill(StartupHandicap::default()),
            ChaosFault::FullDisk => slot.kill(full),
            ChaosFault::LittleMemory => slot.kill(little),
            ChaosFault::Terminate => slot.notice(Notice::Terminate, GRACE),
            ChaosFault::Notice => slot.notice(Notice::Interruption, GRACE),
            ChaosFault::Rebalance => slot.notice(Notice::Rebalance, GRACE),
            ChaosFault::Stop(length) => slot.stop(length),
            ChaosFault::Engine(fault) => {
                self.broken.push((Instant::now() + MENDED, number));
                slot.fault(fault)?
            }
            ChaosFault::Cut(of, length) => {
                servers.wire(of).set(false);
                restore_later(servers, of, length);
                true
            }
            ChaosFault::Mute(of, length) => {
                servers.wire(of).lose_answers();
                restore_later(servers, of, length);
                true
            }
            ChaosFault::Slow(of, later, length) => {
                servers.wire(of).slow(later);
                restore_later(servers, of, length);
                true
            }
            ChaosFault::Restart(of, after) => {
                let servers = Arc::clone(servers);
                tokio::task::spawn_blocking(move || servers.restart(of, after));
                true
            }
        };
        let who = match event.fault {
            ChaosFault::Cut(..) | ChaosFault::Mute(..) | ChaosFault::Slow(..) | ChaosFault::Restart(..) => {
                "services".to_owned()
            }
            _ => self.slots[number].name().to_owned(),
        };
        self.outcome.kills += usize::from(struck && event.fault.kills());
        let missed = if struck { "" } else { " (nobody there)" };
        self.note(&who, format!("{}{missed}", event.fault.text()));
        Ok(())
    }

    /// Advances every slot, and repairs the devices whose time has come.
    fn tick(&mut self) -> Result<(), ChaosError> {
        for number in 0..self.slots.len() {
            if let Some(ended) = self.slots[number].tick()? {
                self.ended(number, &ended);
            }
        }
        if let Some(end) = self.outcome.strange.get(STRANGE) {
            return Err(ChaosError::Strange { end: end.clone(), logs: self.run.site.logs.clone() });
        }
        let now = Instant::now();
        for (_, number) in self.broken.extract_if(.., |(at, _)| *at <= now) {
            self.slots[number].mend();
        }
        Ok(())
    }

    /// Samples the number of workers and of messages that wait or are held.
    async fn sample(&mut self) {
        // A queue that does not answer now is asked again a second later.
        let Ok(depth) = self.run.site.depth(&self.run.site.images).await else { return };
        let pids: Vec<u32> = self.slots.iter().filter_map(WorkerSlot::pid).collect();
        self.outcome.samples.push(Sample {
            at: self.began.elapsed().as_secs_f64(),
            waiting: depth.visible + depth.delayed,
            held: depth.in_flight,
            workers: pids.len(),
        });
    }

    /// Waits until the queues are empty three times in a row, because a queue's counts are approximate.
    async fn settle(&mut self) -> Result<(), ChaosError> {
        let site = self.run.site;
        let (since, mut empty) = (Instant::now(), 0);
        while empty < 3 {
            let left = match (site.depth(&site.images).await, site.depth(&site.galleries).await) {
                (Ok(images), Ok(galleries)) => images.total() + galleries.total(),
                _ => 1,
            };
            empty = if left == 0 { empty + 1 } else { 0 };
            if since.elapsed() > COMPLETION_TIMEOUT {
                return Err(ChaosError::Stuck { left, seconds: COMPLETION_TIMEOUT.as_secs(), logs: site.logs.clone() });
            }
            let next = Instant::now() + SAMPLE;
            self.sample().await;
            while Instant::now() < next {
                self.tick()?;
                sleep(TICK).await;
            }
        }
        Ok(())
    }
}

/// Sends the work in parts, so that there is work for the whole run.
async fn feed(site: &Site, images: &[RequestedImage], length: Duration) -> Result<(), ChaosError> {
    let began = Instant::now();
    // A fifth is sent at once and the rest over four fifths of the time, so that the queue never runs empty.
    let (first, rest) = images.split_at(images.len() / 5);
    Workload::send(site, first).await?;
    let parts: Vec<&[RequestedImage]> = rest.chunks(50).collect();
    for (number, part) in parts.iter().enumerate() {
        let due = length.mul_f64(0.8 * number as f64 / parts.len() as f64);
        sleep(due.saturating_sub(began.elapsed())).await;
        Workload::send(site, part).await?;
    }
    Ok(())
}

/// Executes the run.
///
/// # Errors
/// [`ChaosError::Server`] when the servers fail beyond the injected faults, [`ChaosError::Strange`] when workers keep
/// ending without a fault, [`ChaosError::Stuck`] when the work does not end, [`ChaosError::Io`] when a worker cannot be
/// started.
pub async fn execute(run: &RunSpec<'_>) -> Result<RunOutcome, ChaosError> {
    let mut slots = Vec::new();
    for (role, count) in [(WorkerKind::Detect, run.workers), (WorkerKind::Group, GROUPERS)] {
        for number in 0..count {
            slots.push(WorkerSlot::open(run.site, role, number, run.program.clone()).await?);
        }
    }
    let began = Instant::now();
    let mut chaos = ChaosRun { run, slots, outcome: RunOutcome::default(), began, broken: Vec::new() };
    let fed = feed(run.site, &run.load.images, run.length);
    tokio::pin!(fed);
    let (mut feeding, mut events) = (true, run.events.iter().peekable());
    let mut sampled = began;
    while feeding || events.peek().is_some() {
        tokio::select! {
            sent = &mut fed, if feeding => {
                sent?;
                feeding = false;
            }
            () = sleep(TICK) => {}
        }
        chaos.tick()?;
        while let Some(event) = events.next_if(|event| event.at <= began.elapsed()) {
            chaos.strike(event)?;
        }
        if sampled.elapsed() >= SAMPLE {
            sampled = Instant::now();
            chaos.sample().await;
        }
    }
    chaos.note("storm", "is over");
    chaos.settle().await?;
    chaos.outcome.seconds = began.elapsed().as_secs_f64();
    chaos.slots.iter_mut().for_each(|slot| slot.close(GRACE));
    while !chaos.slots.iter().all(WorkerSlot::is_empty) {
        chaos.tick()?;
        sleep(TICK).await;
    }
    Ok(chaos.outcome)
}
