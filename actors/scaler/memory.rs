//! The memory that submitters share between their ticks. Pure functions.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::stuck::{StuckCause, StuckWorkers};
use super::workers::Workers;
use crate::ports::fleet::{JobOrder, JobPhase, JobProgress, JobQueue};
use crate::ports::queue_metrics::Depth;

/// Milliseconds since 1970.
pub(crate) type Millis = u64;

/// The submitter that holds the lock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockHolder {
    /// Id of the submitter.
    pub id: String,
    /// Time at which the lock expires.
    pub until: Millis,
}

/// A job that was submitted and that the fleet has not listed yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingOrder {
    /// The job.
    #[serde(flatten)]
    pub order: JobOrder,
    /// Time of the submission.
    pub at: Millis,
}

/// The shared value of all submitters of a queue.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Memory {
    /// Raised by each write, so that no two are the same.
    pub revision: u64,
    /// Raised by each plan: names its jobs.
    pub serial: u64,
    /// The holder of the lock.
    pub holder: Option<LockHolder>,
    /// Jobs that were asked for and not seen yet.
    pub asked: Vec<PendingOrder>,
    /// Since when each job has workers that wait.
    pub waiting: BTreeMap<String, Millis>,
    /// Since when the Spot market has given nothing though workers wait.
    pub hungry: Option<Millis>,
    /// Workers that it had given then.
    pub given: u64,
    /// Messages a second and worker, as measured last.
    pub rate: Option<f64>,
    /// Since when nothing waits and nothing is held.
    #[serde(default)]
    pub quiet: Option<Millis>,
}

/// The state of the fleet: what it lists, with what is remembered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FleetTally {
    /// Workers asked for or at work.
    pub active: Workers,
    /// Of them, on a machine.
    pub working: Workers,
    /// Jobs that were asked for long ago and never appeared.
    pub vanished: Vec<String>,
    /// Workers that wait for too long.
    pub stuck: Vec<StuckWorkers>,
}

/// The timeouts of a scaler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScalerTimeouts {
    /// Time for which a submitted job counts although the fleet does not list it.
    pub appear: Duration,
    /// Wait for a machine after which workers are reported as stuck.
    pub dwell: Duration,
    /// Time without a machine of the Spot market after which machines on demand are used.
    pub starve: Duration,
    /// Idle time of the queue after which workers that do not leave by themselves are stopped.
    pub rest: Duration,
}

fn since(then: Millis, now: Millis) -> Duration {
    Duration::from_millis(now.saturating_sub(then))
}

impl Memory {
    /// Returns the names of jobs that the fleet is asked for.
    pub fn names(&self) -> Vec<String> {
        self.asked.iter().map(|asked| asked.order.name.clone()).collect()
    }

    /// Takes in what the fleet lists, and returns its state.
    pub fn look(&mut self, seen: &[JobProgress], now: Millis, patience: ScalerTimeouts) -> FleetTally {
        let mut tally = FleetTally::default();
        for sighting in seen.iter().filter(|sighting| sighting.phase != JobPhase::Ended) {
            tally.active.add(sighting.line, sighting.workers);
            if sighting.phase == JobPhase::Working {
                tally.working.add(sighting.line, sighting.workers);
            }
        }
        self.asked.retain(|PendingOrder { order, at }| {
            let appeared = seen.iter().any(|sighting| sighting.name == order.name);
            let lasts = since(*at, now) < patience.appear;
            if !appeared && lasts {
                tally.active.add(order.line, order.workers);
            } else if !appeared {
                tally.vanished.push(order.name.clone());
            }
            !appeared && lasts
        });
        let waits = |sighting: &&JobProgress| sighting.phase == JobPhase::Waiting && sighting.workers > 0;
        let waiting: Vec<&JobProgress> = seen.iter().filter(waits).collect();
        self.waiting.retain(|name, _| waiting.iter().any(|sighting| sighting.name == *name));
        for sighting in &waiting {
            self.waiting.entry(sighting.name.clone()).or_insert(now);
        }
        let given = tally.working.spot();
        // Since when the first of those waits that wait for the market: a queue that is full, or a job that fits no machine, is
        // another matter.
        let market = |sighting: &&&JobProgress| {
            let cause = StuckCause::from_reason(sighting.reason.as_deref());
            sighting.line != JobQueue::Fallback && matches!(cause, StuckCause::Capacity | StuckCause::Unsaid)
        };
        let first =
            waiting.iter().filter(market).filter_map(|sighting| self.waiting.get(&sighting.name)).min().copied();
        self.hungry = match (self.hungry, first) {
            (Some(then), Some(first)) if given <= self.given => Some(then.max(first)),
            (_, first) => first.map(|_| now),
        };
        self.given = given;
        tally.stuck = self.stuck(&waiting, now, patience.dwell);
        tally
    }

    /// Returns how many workers the Spot market gave before, where it has given none for long.
    pub(crate) fn starving(&self, now: Millis, patience: ScalerTimeouts) -> Option<u64> {
        self.hungry.filter(|then| since(*then, now) >= patience.starve).map(|_| self.given)
    }

    /// Takes in the depth of the queue, and tells whether it has been idle for long.
    pub(crate) fn rests(&mut self, depth: Depth, now: Millis, patience: ScalerTimeouts) -> bool {
        self.quiet = (depth == Depth::default()).then(|| self.quiet.unwrap_or(now));
        self.quiet.is_some_and(|then| since(then, now) >= patience.rest)
    }

    fn stuck(&self, waiting: &[&JobProgress], now: Millis, dwell: Duration) -> Vec<StuckWorkers> {
        let mut causes: BTreeMap<StuckCause, StuckWorkers> = BTreeMap::new();
        for sighting in waiting {
            let waited = since(self.waiting.get(&sighting.name).copied().unwrap_or(now), now);
            if waited < dwell {
                continue;
            }
            let cause = StuckCause::from_reason(sighting.reason.as_deref());
            let none = StuckWorkers { cause, workers: 0, seconds: 0, reason: None, mend: cause.mend() };
            let stuck = causes.entry(cause).or_insert(none);
            stuck.workers += sighting.workers;
            stuck.seconds = stuck.seconds.max(waited.as_secs());
            stuck.reason = stuck.reason.take().or_else(|| sighting.reason.clone());
        }
        causes.into_values().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUTS: ScalerTimeouts = ScalerTimeouts {
        appear: Duration::from_secs(180),
        dwell: Duration::from_secs(600),
        starve: Duration::from_secs(900),
        rest: Duration::from_secs(300),
    };
    const MINUTE: Millis = 60_000;

    fn sighting(name: &str, line: JobQueue, phase: JobPhase, workers: u64) -> JobProgress {
        JobProgress { name: name.to_owned(), line, phase, workers, reason: None }
    }

    fn asked(name: &str, workers: u64, at: Millis) -> PendingOrder {
        PendingOrder { order: JobOrder { name: name.to_owned(), line: JobQueue::Secondary, workers }, at }
    }

    #[test]
    fn a_job_counts_from_when_it_was_asked_for_and_never_twice() {
        let mut memory = Memory { asked: vec![asked("a", 5, 0), asked("b", 7, 0)], ..Memory::default() };
        // Nothing is seen yet: the fleet's list lags.
        assert_eq!(memory.look(&[], MINUTE, TIMEOUTS).active.secondary, 12);
        // One part of an array works, the other waits.
        let seen = [
            sighting("a", JobQueue::Secondary, JobPhase::Waiting, 3),
            sighting("a", JobQueue::Secondary, JobPhase::Working, 2),
        ];
        let tally = memory.look(&seen, MINUTE, TIMEOUTS);
        assert_eq!((tally.active.secondary, tally.working.secondary), (12, 2));
        assert_eq!(memory.names(), ["b"]);
        // One that has ended before it was ever seen does not count.
        let tally = memory.look(&[sighting("b", JobQueue::Secondary, JobPhase::Ended, 7)], MINUTE, TIMEOUTS);
        assert_eq!((tally.active.total(), tally.vanished), (0, vec![]));
    }

    #[test]
    fn a_job_that_never_appears_is_given_up() {
        let mut memory = Memory { asked: vec![asked("a", 5, 0)], ..Memory::default() };
        assert_eq!(memory.look(&[], 3 * MINUTE - 1, TIMEOUTS).active.total(), 5);
        let tally = memory.look(&[], 3 * MINUTE, TIMEOUTS);
        assert_eq!((tally.active.total(), tally.vanished), (0, vec!["a".to_owned()]));
        assert!(memory.asked.is_empty());
    }

    #[test]
    fn workers_that_wait_are_reported_after_a_dwell_by_cause() {
        let mut memory = Memory::default();
        let reasoned = |name: &str, reason: &str| JobProgress {
            reason: Some(reason.to_owned()),
            ..sighting(name, JobQueue::Primary, JobPhase::Waiting, 2)
        };
        let seen = [
            reasoned("a", "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY"),
            reasoned("b", "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY"),
            reasoned("c", "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT"),
        ];
        assert_eq!(memory.look(&seen[1..], 0, TIMEOUTS).stuck, []);
        assert_eq!(memory.look(&seen, 5 * MINUTE, TIMEOUTS).stuck, []);
        let stuck = memory.look(&seen, 12 * MINUTE, TIMEOUTS).stuck;
        let told: Vec<_> = stuck.iter().map(|stuck| (stuck.cause, stuck.workers, stuck.seconds)).collect();
        assert_eq!(
            told,
            [(StuckCause::Capacity, 2, 720), (StuckCause::Requirement, 2, 720)],
            "a waits for seven minutes only"
        );
        assert_eq!(memory.look(&[], 13 * MINUTE, TIMEOUTS).stuck, []);
        assert!(memory.waiting.is_empty());
    }

    #[test]
    fn spot_starves_us_when_nothing_starts_for_a_quarter_of_an_hour() {
        let mut memory = Memory::default();
        let seen = |waiting, working| {
            [
                sighting("a", JobQueue::Secondary, JobPhase::Waiting, waiting),
                sighting("a", JobQueue::Secondary, JobPhase::Working, working),
                sighting("b", JobQueue::Fallback, JobPhase::Waiting, 1),
            ]
        };
        let mut starving = |minute, waiting, working| {
            memory.look(&seen(waiting, working), minute * MINUTE, TIMEOUTS);
            memory.starving(minute * MINUTE, TIMEOUTS)
        };
        for (minute, waiting, working, expected) in [
            (0, 10, 0, None),
            (14, 10, 0, None),
            (15, 10, 0, Some(0)),
            // It gives something: hope.
            (16, 7, 3, None),
            (30, 7, 3, None),
            // One of the three leaves; nothing new starts.
            (31, 7, 2, Some(2)),
            // All have what they need; only the fallback waits.
            (32, 0, 9, None),
            (60, 0, 9, None),
        ] {
            assert_eq!(starving(minute, waiting, working), expected, "minute {minute}");
        }
    }

    #[test]
    fn a_queue_rests_when_nothing_waits_and_nothing_is_held_for_a_while() {
        let mut memory = Memory::default();
        let held = Depth { in_flight: 1, ..Depth::default() };
        for (minute, depth, expected) in [
            (0, Depth::default(), false),
            (4, Depth::default(), false),
            (5, Depth::default(), true),
            (6, held, false),
            (7, Depth::default(), false),
            (12, Depth::default(), true),
        ] {
            assert_eq!(memory.rests(depth, minute * MINUTE, TIMEOUTS), expected, "minute {minute}");
        }
    }

    #[test]
    fn a_full_queue_and_jobs_that_come_and_go_are_no_hunger() {
        let waits = |name: &str, reason: Option<&str>| JobProgress {
            reason: reason.map(str::to_owned),
            ..sighting(name, JobQueue::Primary, JobPhase::Waiting, 1)
        };
        let starves = |minutes: &dyn Fn(u64) -> JobProgress| {
            let mut memory = Memory::default();
            (0..40).any(|minute| {
                memory.look(&[minutes(minute)], minute * MINUTE, TIMEOUTS);
                memory.starving(minute * MINUTE, TIMEOUTS).is_some()
            })
        };
        assert!(starves(&|_| waits("a", None)));
        assert!(!starves(&|_| waits("a", Some("MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE - full"))));
        // Another job waits each ten minutes: Spot gives, as fast as others ask.
        assert!(!starves(&|minute| waits(&format!("job-{}", minute / 10), None)));
    }
}
