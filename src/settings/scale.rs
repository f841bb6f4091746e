//! The settings of how many workers a fleet has, and what they cost.

use std::time::Duration;

use muster_actors::scaler::policy::{Caps, Pace, Policy};
use muster_actors::scaler::simulate::World;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Settings;

/// How many workers there are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Scale {
    /// Seconds in which what waits shall be done.
    pub target_seconds: u64,
    /// Seconds from a submission until a worker works.
    pub boot_seconds: u64,
    /// Seconds between two looks at the queue.
    pub tick_seconds: u64,
    /// Images a second and worker.
    pub rate: f64,
    /// Workers in the primary queue at most.
    pub primary: u64,
    /// Workers in the secondary queue at most.
    pub secondary: u64,
}

/// A rule by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PolicyName {
    /// As many workers as drain the queue in time.
    DrainTime,
    /// One, and one for each thousand messages.
    Threshold,
    /// One for each message.
    PerMessage,
}

impl PolicyName {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::DrainTime, Self::Threshold, Self::PerMessage];

    /// As it appears in results.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::DrainTime => "drain-time",
            Self::Threshold => "threshold",
            Self::PerMessage => "per-message",
        }
    }
}

/// What things cost, in US dollars.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Cost {
    /// An hour of a worker's machine on the Spot market.
    pub spot_hour: f64,
}

impl Scale {
    /// A rule with these figures.
    pub fn policy(&self, name: PolicyName) -> Policy {
        match name {
            PolicyName::DrainTime => Policy::DrainTime(Pace {
                rate: self.rate,
                target: Duration::from_secs(self.target_seconds),
                boot: Duration::from_secs(self.boot_seconds),
            }),
            PolicyName::Threshold => Policy::Threshold,
            PolicyName::PerMessage => Policy::PerMessage,
        }
    }
}

impl Settings {
    /// The world that these settings speak of, with so many Spot interruptions an hour and worker.
    pub fn world(&self, interruptions: f64, seed: u64) -> World {
        let Self { scale, queues, fleet, cost, .. } = self;
        World {
            rate: scale.rate,
            boot: Duration::from_secs(scale.boot_seconds),
            tick: Duration::from_secs(scale.tick_seconds),
            caps: Caps { primary: scale.primary, secondary: scale.secondary },
            credits: fleet.credits as u64,
            idle: Duration::from_secs(queues.wait_seconds * u64::from(queues.leave_after_empty)),
            interruptions,
            price: cost.spot_hour,
            seed,
        }
    }
}

/// What these figures may be.
pub(super) fn ranges(settings: &Settings, range: &mut impl FnMut(&str, f64, f64, f64)) {
    let Settings { scale, cost, .. } = settings;
    range("scale.target_seconds", scale.target_seconds as f64, 60.0, 604_800.0);
    range("scale.boot_seconds", scale.boot_seconds as f64, 0.0, 3600.0);
    range("scale.tick_seconds", scale.tick_seconds as f64, 1.0, 3600.0);
    range("scale.rate", scale.rate, 0.001, 100_000.0);
    range("scale.primary", scale.primary as f64, 0.0, 100_000.0);
    range("scale.secondary", scale.secondary as f64, 0.0, 100_000.0);
    range("cost.spot_hour", cost.spot_hour, 0.0, 1000.0);
}
