//! Plans the faults of a run as a schedule that follows from a seed. Pure functions.

use std::time::Duration;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

use super::stand_in::DeviceFault;

/// A service that workers depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Dependency {
    /// SQS, which holds the queues.
    Sqs,
    /// S3, which holds the photos.
    S3,
    /// MongoDB, which holds the results.
    Mongo,
    /// Redis, which holds the cache.
    Redis,
}

impl Dependency {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Sqs, Self::S3, Self::Mongo, Self::Redis];

    /// Returns the name for reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sqs => "SQS",
            Self::S3 => "S3",
            Self::Mongo => "MongoDB",
            Self::Redis => "Redis",
        }
    }
}

/// A fault that is injected into a worker or a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChaosFault {
    /// The worker is killed by SIGKILL.
    Kill,
    /// The worker gets SIGTERM, and SIGKILL after the grace period.
    Terminate,
    /// The metadata service gives a Spot notice; SIGTERM follows, and SIGKILL after the grace
    /// period.
    Notice,
    /// The metadata service gives a rebalance recommendation.
    Rebalance,
    /// The worker gets SIGSTOP, as on a host that hangs, and SIGCONT after this time.
    Stop(Duration),
    /// A failure of the worker's device that lasts until it is noticed.
    Engine(DeviceFault),
    /// A restart of the worker with a log on a full disk.
    FullDisk,
    /// A restart of the worker with too little memory.
    LittleMemory,
    /// All connections to a service are cut for this time, new ones included.
    Cut(Dependency, Duration),
    /// A service receives requests and its answers are lost, for this time.
    Mute(Dependency, Duration),
    /// Every request takes longer by the first time, for the second time.
    Slow(Dependency, Duration, Duration),
    /// A service is killed, and started again after this time.
    Restart(Dependency, Duration),
}

impl ChaosFault {
    /// Tells whether the fault ends a worker.
    pub fn kills(self) -> bool {
        match self {
            Self::Kill | Self::Terminate | Self::Notice | Self::Rebalance | Self::FullDisk | Self::LittleMemory => true,
            Self::Stop(_) | Self::Engine(_) => false,
            Self::Cut(..) | Self::Mute(..) | Self::Slow(..) | Self::Restart(..) => false,
        }
    }

    /// Tells whether the fault makes a worker drain.
    pub fn drains(self) -> bool {
        matches!(self, Self::Terminate | Self::Notice | Self::Rebalance)
    }

    /// Describes the fault for the timeline.
    pub fn text(self) -> String {
        let seconds = |length: Duration| format!("{:.1} s", length.as_secs_f64());
        match self {
            Self::Kill => "kill -9".into(),
            Self::Terminate => "SIGTERM".into(),
            Self::Notice => "Spot notice, then SIGTERM".into(),
            Self::Rebalance => "rebalance recommendation".into(),
            Self::Stop(length) => format!("SIGSTOP for {}", seconds(length)),
            Self::Engine(fault) => format!("device: {}", fault.text()),
            Self::FullDisk => "kill -9, started again over a full disk".into(),
            Self::LittleMemory => "kill -9, started again with little memory".into(),
            Self::Cut(of, length) => format!("{} cut off for {}", of.as_str(), seconds(length)),
            Self::Mute(of, length) => format!("{}'s answers lost for {}", of.as_str(), seconds(length)),
            Self::Slow(of, later, length) => {
                format!("{} slower by {} for {}", of.as_str(), seconds(later), seconds(length))
            }
            Self::Restart(of, length) => format!("{} killed, started again after {}", of.as_str(), seconds(length)),
        }
    }
}

/// A fault at a time, for the worker in one slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FaultEvent {
    /// Time since the start of the run.
    pub at: Duration,
    /// Number of the worker's slot; it does not matter for services.
    pub slot: usize,
    /// Fault that is injected.
    pub fault: ChaosFault,
}

/// The parameters of a schedule of faults.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FaultMix {
    /// Seed from which the whole schedule follows.
    pub seed: u64,
    /// Length of the run.
    pub length: Duration,
    /// Number of faults that end a worker.
    pub kills: usize,
    /// Number of slots of workers.
    pub workers: usize,
    /// Whether all faults are drains, to measure these.
    pub only_drains: bool,
}

/// Interval of faults that end no worker by themselves.
const BETWEEN: Duration = Duration::from_secs(12);

fn service(rng: &mut ChaCha8Rng) -> ChaosFault {
    let of = Dependency::ALL[rng.random_range(0..4)];
    let length = Duration::from_millis(rng.random_range(500..6_000));
    match rng.random_range(0..4) {
        0 => ChaosFault::Cut(of, length),
        // Commands over a wire without answers would be tried for a minute.
        1 if of != Dependency::Mongo => ChaosFault::Mute(of, length),
        2 => ChaosFault::Restart(of, length / 2),
        _ => ChaosFault::Slow(of, Duration::from_millis(rng.random_range(50..800)), length),
    }
}

fn worker(rng: &mut ChaCha8Rng) -> ChaosFault {
    match rng.random_range(0..8) {
        0..3 => ChaosFault::Stop(Duration::from_millis(rng.random_range(500..45_000))),
        3 => ChaosFault::Engine(DeviceFault::Sticky),
        4 => ChaosFault::Engine(DeviceFault::Lost),
        5 => ChaosFault::Engine(DeviceFault::Hang),
        6 => ChaosFault::Engine(DeviceFault::Dead),
        _ => ChaosFault::Engine(DeviceFault::Memory(rng.random_range(1..5))),
    }
}

fn ending(rng: &mut ChaCha8Rng, only_drains: bool) -> ChaosFault {
    match rng.random_range(if only_drains { 7..10 } else { 0..12 }) {
        0..7 => ChaosFault::Kill,
        7 => ChaosFault::Terminate,
        8 => ChaosFault::Notice,
        9 => ChaosFault::Rebalance,
        10 => ChaosFault::FullDisk,
        _ => ChaosFault::LittleMemory,
    }
}

/// Plans a schedule, ordered by time.
pub fn plan(mix: &FaultMix) -> Vec<FaultEvent> {
    let FaultMix { seed, length, kills, workers, only_drains } = *mix;
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut events = Vec::new();
    let others = if only_drains { 0 } else { (length.as_secs() / BETWEEN.as_secs()) as usize };
    for number in 0..kills + others {
        let at = length.mul_f64(rng.random_range(0.02..1.0));
        let fault = match number {
            n if n < kills => ending(&mut rng, only_drains),
            n if n % 2 == 0 => service(&mut rng),
            _ => worker(&mut rng),
        };
        events.push(FaultEvent { at, slot: rng.random_range(0..workers.max(1)), fault });
    }
    events.sort_by_key(|event| event.at);
    events
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_schedule_has_the_kills_that_were_asked_for_within_its_time_and_repeats(
            seed in any::<u64>(), seconds in 1u64..5_000, kills in 0usize..300, workers in 0usize..9, only_drains: bool,
        ) {
            let mix = FaultMix { seed, length: Duration::from_secs(seconds), kills, workers, only_drains };
            let events = plan(&mix);
            prop_assert_eq!(&events, &plan(&mix));
            prop_assert_eq!(events.iter().filter(|event| event.fault.kills()).count(), kills);
            prop_assert!(events.iter().all(|event| event.at <= mix.length && event.slot < workers.max(1)));
            prop_assert!(events.is_sorted_by_key(|event| event.at));
            prop_assert!(!only_drains || events.iter().all(|event| event.fault.drains()));
        }
    }

    #[test]
    fn a_long_storm_has_every_kind_of_blow() {
        let length = Duration::from_secs(3_600);
        let events = plan(&FaultMix { seed: 1, length, kills: 300, workers: 4, only_drains: false });
        let kind = |fault: ChaosFault| fault.text().split([' ', ':']).next().map(str::to_owned);
        let kinds: std::collections::BTreeSet<_> = events.iter().filter_map(|event| kind(event.fault)).collect();
        let expected = ["kill", "SIGTERM", "Spot", "rebalance", "SIGSTOP", "device", "SQS", "S3", "MongoDB", "Redis"];
        assert!(expected.iter().all(|kind| kinds.contains(*kind)), "{kinds:?}");
    }
}
