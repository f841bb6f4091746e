//! Simulates a fleet under a policy, second by second: workers boot, pull, are interrupted and leave. Pure and seeded.

use std::time::Duration;

use serde::Serialize;

use super::policy::{Policy, PolicyInput, plan};
use super::trace::ArrivalTrace;
use super::workers::Workers;
use crate::errors::backoff::Jitter;
use crate::ports::fleet::JobQueue;
use crate::ports::queue_metrics::Depth;

/// Settings of a simulation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SimulationSettings {
    /// Images a second and worker.
    pub rate: f64,
    /// Time from a submission until a worker works; it varies by up to a quarter.
    pub boot: Duration,
    /// Interval of the scaler's ticks.
    pub tick: Duration,
    /// Most workers of each queue.
    pub caps: Workers,
    /// Most messages that a worker holds.
    pub credits: u64,
    /// Time without messages after which a worker leaves.
    pub idle: Duration,
    /// Interruptions an hour and worker.
    pub interruptions: f64,
    /// Seed of boot times and interruptions.
    pub seed: u64,
}

/// The result of a simulation.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct SimulationOutcome {
    /// Seconds from the first arrival until everything was done; `None` where it never was.
    pub drained: Option<u64>,
    /// Images that were done.
    pub done: u64,
    /// The most that waited at once.
    pub backlog: u64,
    /// The most workers at once.
    pub workers: u64,
    /// Hours of all workers, their boot included.
    pub hours: f64,
    /// Jobs that found nothing to do.
    pub empty: u64,
    /// Calls that AWS Batch refuses.
    pub rejected: u64,
    /// Workers that were taken away.
    pub interrupted: u64,
    /// Second, backlog and workers at each tick of the scaler.
    pub looks: Vec<(u64, u64, u64)>,
}

struct SimulatedWorker {
    line: JobQueue,
    ready: u64,
    held: u64,
    done: u64,
    /// Of an image, done.
    part: f64,
    idle: u64,
}

impl SimulatedWorker {
    fn new(line: JobQueue, ready: u64) -> Self {
        Self { line, ready, held: 0, done: 0, part: 0.0, idle: 0 }
    }
}

/// Longest time for which a simulation goes on after the last arrival.
const MAX_OVERTIME_SECONDS: u64 = 24 * 3600;

struct SimulatedFleet<'a> {
    world: &'a SimulationSettings,
    jitter: Jitter,
    visible: u64,
    workers: Vec<SimulatedWorker>,
    outcome: SimulationOutcome,
}

/// The rule by which a simulation has workers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum SimulationRule {
    /// A policy.
    Scaled(Policy),
    /// A fixed number of workers from the start, which are never interrupted.
    AlwaysOn(u64),
}

/// Simulates a trace to its end.
pub fn simulate(rule: SimulationRule, trace: &ArrivalTrace, world: &SimulationSettings) -> SimulationOutcome {
    let jitter = Jitter::new(world.seed);
    let mut fleet =
        SimulatedFleet { world, jitter, visible: 0, workers: Vec::new(), outcome: SimulationOutcome::default() };
    let (last, images) = (trace.last(), trace.images());
    let tick = world.tick.as_secs().max(1);
    if let SimulationRule::AlwaysOn(workers) = rule {
        fleet.workers.extend((0..workers).map(|_| SimulatedWorker::new(JobQueue::Primary, 0)));
    }
    for second in 0..=last + MAX_OVERTIME_SECONDS {
        fleet.visible += trace.at(second);
        if let SimulationRule::Scaled(_) = rule {
            fleet.interrupt();
        }
        fleet.work(second);
        if let SimulationRule::Scaled(policy) = &rule {
            fleet.leave();
            if second % tick == 0 {
                fleet.submit(policy, second);
            }
        }
        if second % tick == 0 {
            fleet.look(second);
        }
        fleet.outcome.backlog = fleet.outcome.backlog.max(fleet.backlog());
        if fleet.outcome.done == images {
            fleet.outcome.drained.get_or_insert(second);
            if fleet.workers.is_empty() || matches!(rule, SimulationRule::AlwaysOn(_)) {
                break;
            }
        }
    }
    fleet.outcome
}

impl SimulatedFleet<'_> {
    fn backlog(&self) -> u64 {
        self.visible + self.workers.iter().map(|worker| worker.held).sum::<u64>()
    }

    /// Interrupts machines; messages of their workers are visible again at once.
    fn interrupt(&mut self) {
        let chance = self.world.interruptions / 3600.0;
        if chance <= 0.0 {
            return;
        }
        let (jitter, outcome, visible) = (&self.jitter, &mut self.outcome, &mut self.visible);
        self.workers.retain(|worker| {
            let stays = jitter.unit() >= chance;
            if !stays {
                *visible += worker.held;
                outcome.interrupted += 1;
            }
            stays
        });
    }

    /// Simulates one second of every worker.
    fn work(&mut self, second: u64) {
        self.outcome.hours += self.workers.len() as f64 / 3600.0;
        for worker in self.workers.iter_mut().filter(|worker| worker.ready <= second) {
            let pulled = (self.world.credits - worker.held).min(self.visible);
            self.visible -= pulled;
            worker.held += pulled;
            worker.part = (worker.part + self.world.rate).min(worker.held as f64);
            let done = worker.part.floor();
            worker.part -= done;
            worker.held -= done as u64;
            worker.done += done as u64;
            self.outcome.done += done as u64;
            worker.idle = if pulled == 0 && worker.held == 0 { worker.idle + 1 } else { 0 };
        }
        // The order rotates, so that no worker starves because of its position.
        if !self.workers.is_empty() {
            self.workers.rotate_left(1);
        }
    }

    /// Removes workers whose queue stays empty.
    fn leave(&mut self) {
        let (idle, outcome) = (self.world.idle.as_secs(), &mut self.outcome);
        self.workers.retain(|worker| {
            let stays = worker.idle <= idle;
            outcome.empty += u64::from(!stays && worker.done == 0);
            stays
        });
    }

    /// Makes a tick of the scaler.
    fn submit(&mut self, policy: &Policy, second: u64) {
        let mut active = Workers::default();
        self.workers.iter().for_each(|worker| active.add(worker.line, 1));
        let in_flight = self.workers.iter().map(|worker| worker.held).sum();
        let depth = Depth { visible: self.visible, delayed: 0, in_flight };
        for call in plan(policy, PolicyInput { depth, active, caps: self.world.caps, starving: None }).calls {
            if !call.job.is_legal() {
                self.outcome.rejected += 1;
                continue;
            }
            for _ in 0..call.job.workers() {
                let boot = self.world.boot.as_secs_f64() * (0.75 + 0.5 * self.jitter.unit());
                let ready = second + boot as u64;
                self.workers.push(SimulatedWorker::new(call.line, ready));
            }
        }
    }

    /// Records the current state.
    fn look(&mut self, second: u64) {
        self.outcome.workers = self.outcome.workers.max(self.workers.len() as u64);
        self.outcome.looks.push((second, self.backlog(), self.workers.len() as u64));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scaler::policy::Throughput;

    fn world() -> SimulationSettings {
        SimulationSettings {
            rate: 20.0,
            boot: Duration::from_secs(180),
            tick: Duration::from_secs(60),
            caps: Workers { primary: 4, secondary: 64, fallback: 0 },
            credits: 256,
            idle: Duration::from_secs(60),
            interruptions: 0.0,
            seed: 1,
        }
    }

    fn drain_time(world: &SimulationSettings) -> Policy {
        Policy::DrainTime(Throughput { rate: world.rate, target: Duration::from_secs(900), boot: world.boot })
    }

    fn run(policy: &Policy, name: &str, world: &SimulationSettings) -> SimulationOutcome {
        simulate(SimulationRule::Scaled(*policy), &ArrivalTrace::named(name).unwrap(), world)
    }

    #[test]
    fn a_burst_is_drained_in_time_by_workers_that_all_have_work() {
        let world = world();
        let outcome = run(&drain_time(&world), "burst-100k", &world);
        assert_eq!((outcome.done, outcome.empty, outcome.rejected), (100_000, 0, 0), "{outcome:?}");
        assert!(outcome.drained.is_some_and(|seconds| seconds <= 990), "{outcome:?}");
        assert!(outcome.hours <= 2.5, "{outcome:?}");
    }

    #[test]
    fn every_named_trace_is_drained_by_the_default_policy() {
        let world = SimulationSettings { interruptions: 0.05, ..world() };
        for name in crate::scaler::trace::NAMES {
            let outcome = run(&drain_time(&world), name, &world);
            assert_eq!(outcome.done, ArrivalTrace::named(name).unwrap().images(), "{name}");
            assert!(outcome.drained.is_some() && outcome.rejected == 0, "{name}: {outcome:?}");
        }
    }

    #[test]
    fn the_threshold_policy_asks_for_an_array_of_one_for_ever() {
        let outcome = run(&Policy::Threshold, "burst-1500", &world());
        assert_eq!((outcome.drained, outcome.done, outcome.workers), (None, 0, 0));
        assert_eq!(outcome.rejected, MAX_OVERTIME_SECONDS / 60 + 1, "one call at each look");
    }

    #[test]
    fn a_service_around_the_clock_needs_no_boot_and_takes_its_time() {
        let outcome = simulate(SimulationRule::AlwaysOn(2), &ArrivalTrace::named("burst-100k").unwrap(), &world());
        assert_eq!((outcome.drained, outcome.workers, outcome.interrupted), (Some(2_500), 2, 0), "{outcome:?}");
    }

    #[test]
    fn an_interruption_loses_no_image_and_a_seed_replays() {
        let world = SimulationSettings { interruptions: 6.0, ..world() };
        let outcome = run(&drain_time(&world), "burst-100k", &world);
        assert!(outcome.interrupted > 0 && outcome.done == 100_000, "{outcome:?}");
        assert_eq!(run(&drain_time(&world), "burst-100k", &world), outcome);
        let other = SimulationSettings { seed: 2, ..world };
        assert_ne!(run(&drain_time(&other), "burst-100k", &other), outcome);
    }
}
