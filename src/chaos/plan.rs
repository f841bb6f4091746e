//! What happens when: a schedule that follows from a seed. Pure.

use std::time::Duration;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

use super::stand_in::Fault;

/// A service that workers depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Dependency {
    /// The queues.
    Sqs,
    /// The objects.
    S3,
    /// The store.
    Mongo,
    /// The cache.
    Redis,
}

impl Dependency {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Sqs, Self::S3, Self::Mongo, Self::Redis];

    /// As it is told.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sqs => "SQS",
            Self::S3 => "S3",
            Self::Mongo => "MongoDB",
            Self::Redis => "Redis",
        }
    }
}

/// One thing that goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blow {
    /// `kill -9`.
    Kill,
    /// SIGTERM, and SIGKILL after the grace.
    Terminate,
    /// A Spot notice of the metadata service, SIGTERM after it, SIGKILL after the grace.
    Notice,
    /// A rebalance recommendation.
    Rebalance,
    /// SIGSTOP: a host that hangs; SIGCONT so much later.
    Stop(Duration),
    /// The worker's device fails, for as long as it takes to be noticed.
    Engine(Fault),
    /// The worker in this place starts again where its log has no room.
    FullDisk,
    /// The worker in this place starts again with less memory than it wants.
    LittleMemory,
    /// Every connection to a service is cut, and all new ones, for so long.
    Cut(Dependency, Duration),
    /// A service hears and its answers are lost, for so long.
    Mute(Dependency, Duration),
    /// Every request takes so much longer, for so long.
    Slow(Dependency, Duration, Duration),
    /// A service is killed and started again so much later.
    Restart(Dependency, Duration),
}

impl Blow {
    /// Whether it ends a worker.
    pub fn kills(self) -> bool {
        match self {
            Self::Kill | Self::Terminate | Self::Notice | Self::Rebalance | Self::FullDisk | Self::LittleMemory => true,
            Self::Stop(_) | Self::Engine(_) => false,
            Self::Cut(..) | Self::Mute(..) | Self::Slow(..) | Self::Restart(..) => false,
        }
    }

    /// Whether it ends a worker in good order.
    pub fn drains(self) -> bool {
        matches!(self, Self::Terminate | Self::Notice | Self::Rebalance)
    }

    /// As it is told.
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

/// A blow at a time, to the worker in one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// Since the storm began.
    pub at: Duration,
    /// Which worker's place; services have none.
    pub place: usize,
    /// What happens.
    pub blow: Blow,
}

/// What a storm is made of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Weather {
    /// Everything follows from it.
    pub seed: u64,
    /// How long.
    pub length: Duration,
    /// Blows that end a worker.
    pub kills: usize,
    /// Workers' places.
    pub workers: usize,
    /// Only drains, no other blow: to measure them.
    pub only_drains: bool,
}

/// Every so often something happens that ends no worker by itself.
const BETWEEN: Duration = Duration::from_secs(12);

fn service(rng: &mut ChaCha8Rng) -> Blow {
    let of = Dependency::ALL[rng.random_range(0..4)];
    let length = Duration::from_millis(rng.random_range(500..6_000));
    match rng.random_range(0..4) {
        0 => Blow::Cut(of, length),
        // Commands over a wire without answers would be tried for a minute.
        1 if of != Dependency::Mongo => Blow::Mute(of, length),
        2 => Blow::Restart(of, length / 2),
        _ => Blow::Slow(of, Duration::from_millis(rng.random_range(50..800)), length),
    }
}

fn worker(rng: &mut ChaCha8Rng) -> Blow {
    match rng.random_range(0..8) {
        0..3 => Blow::Stop(Duration::from_millis(rng.random_range(500..45_000))),
        3 => Blow::Engine(Fault::Sticky),
        4 => Blow::Engine(Fault::Lost),
        5 => Blow::Engine(Fault::Hang),
        6 => Blow::Engine(Fault::Dead),
        _ => Blow::Engine(Fault::Memory(rng.random_range(1..5))),
    }
}

fn ending(rng: &mut ChaCha8Rng, only_drains: bool) -> Blow {
    match rng.random_range(if only_drains { 7..10 } else { 0..12 }) {
        0..7 => Blow::Kill,
        7 => Blow::Terminate,
        8 => Blow::Notice,
        9 => Blow::Rebalance,
        10 => Blow::FullDisk,
        _ => Blow::LittleMemory,
    }
}

/// The schedule, by time.
pub fn plan(weather: &Weather) -> Vec<Event> {
    let Weather { seed, length, kills, workers, only_drains } = *weather;
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut events = Vec::new();
    let others = if only_drains { 0 } else { (length.as_secs() / BETWEEN.as_secs()) as usize };
    for number in 0..kills + others {
        let at = length.mul_f64(rng.random_range(0.02..1.0));
        let blow = match number {
            n if n < kills => ending(&mut rng, only_drains),
            n if n % 2 == 0 => service(&mut rng),
            _ => worker(&mut rng),
        };
        events.push(Event { at, place: rng.random_range(0..workers.max(1)), blow });
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
            let weather = Weather { seed, length: Duration::from_secs(seconds), kills, workers, only_drains };
            let events = plan(&weather);
            prop_assert_eq!(&events, &plan(&weather));
            prop_assert_eq!(events.iter().filter(|event| event.blow.kills()).count(), kills);
            prop_assert!(events.iter().all(|event| event.at <= weather.length && event.place < workers.max(1)));
            prop_assert!(events.is_sorted_by_key(|event| event.at));
            prop_assert!(!only_drains || events.iter().all(|event| event.blow.drains()));
        }
    }

    #[test]
    fn a_long_storm_has_every_kind_of_blow() {
        let length = Duration::from_secs(3_600);
        let events = plan(&Weather { seed: 1, length, kills: 300, workers: 4, only_drains: false });
        let kind = |blow: Blow| blow.text().split([' ', ':']).next().map(str::to_owned);
        let kinds: std::collections::BTreeSet<_> = events.iter().filter_map(|event| kind(event.blow)).collect();
        let expected = ["kill", "SIGTERM", "Spot", "rebalance", "SIGSTOP", "device", "SQS", "S3", "MongoDB", "Redis"];
        assert!(expected.iter().all(|kind| kinds.contains(*kind)), "{kinds:?}");
    }
}
