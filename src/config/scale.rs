//! The settings of how many workers a fleet has, and where they run.

use std::time::Duration;

use muster_actors::scaler::memory::ScalerTimeouts;
use muster_actors::scaler::policy::{Policy, Throughput};
use muster_actors::scaler::simulate::SimulationSettings;
use muster_actors::scaler::submitter::ScalerSettings;
use muster_actors::scaler::workers::Workers;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Settings;

/// Number of a fleet's workers, and the rule that decides it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Scale {
    /// Service of AWS that runs the workers.
    pub fleet: FleetKind,
    /// Rule that decides how many workers run.
    pub policy: PolicyName,
    /// Seconds within which the waiting work should be done.
    pub target_seconds: u64,
    /// Seconds from the submission of a job until its worker works.
    pub boot_seconds: u64,
    /// Seconds between two readings of the queue.
    pub tick_seconds: u64,
    /// Images per second and worker, as long as no rate was measured.
    pub rate: f64,
    /// Share of `rate` below which a measured rate is not trusted.
    pub rate_floor: f64,
    /// Most workers in the primary queue.
    pub primary: u64,
    /// Most workers in the secondary queue.
    pub secondary: u64,
    /// Most workers on demand.
    pub fallback: u64,
    /// Minutes without a machine from the Spot market after which workers on demand are used.
    pub fallback_after_minutes: u64,
    /// Most workers that group.
    pub groupers: u64,
    /// Seconds without waiting and received messages after which a service's tasks are stopped.
    pub rest_seconds: u64,
}

/// A service of AWS that runs workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum FleetKind {
    /// Jobs of AWS Batch.
    Batch,
    /// Tasks of an ECS service.
    Ecs,
    /// Processes on this machine.
    Local,
}

impl FleetKind {
    /// Returns the name in settings.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Batch => "batch",
            Self::Ecs => "ecs",
            Self::Local => "local",
        }
    }
}

/// The name of a rule that decides how many workers run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PolicyName {
    /// As many workers as finish the queue in time.
    DrainTime,
    /// One worker, and one more for each thousand messages.
    Threshold,
    /// One worker for each message.
    PerMessage,
}

impl PolicyName {
    /// All policies.
    pub const ALL: [Self; 3] = [Self::DrainTime, Self::Threshold, Self::PerMessage];

    /// Returns the name in results.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::DrainTime => "drain-time",
            Self::Threshold => "threshold",
            Self::PerMessage => "per-message",
        }
    }
}

/// Job queues and job definitions of AWS Batch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Batch {
    /// Job queue of the preferred machines.
    pub primary_queue: String,
    /// Job queue of all other Spot machines; empty has none.
    pub secondary_queue: String,
    /// Job queue of machines on demand; empty has none.
    pub fallback_queue: String,
    /// Job definition of workers that find faces.
    pub detection: String,
    /// Job definition of workers that group.
    pub grouping: String,
    /// Address of AWS Batch, if it is not `fleet.endpoint`.
    pub endpoint: String,
}

/// Cluster and services of ECS.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ecs {
    /// Name of the cluster.
    pub cluster: String,
    /// Service whose tasks find faces.
    pub detection: String,
    /// Service whose tasks group.
    pub grouping: String,
    /// Address of ECS, if it is not `fleet.endpoint`.
    pub endpoint: String,
}

/// Galleries per second that a worker groups. One such worker is enough for most fleets; a second one helps with very
/// many galleries.
const GROUPINGS: f64 = 0.5;
/// Time within which a submitted job appears in the list of jobs, which is longer than a submitter's lock.
const APPEAR: Duration = Duration::from_secs(180);
/// Time for which a job may wait without a machine for a reason that passes by itself (JOB_RESOURCE_REQUIREMENT does,
/// while machines are started).
const DWELL: Duration = Duration::from_secs(600);

impl Scale {
    /// Builds the policy of this name with these figures.
    pub fn policy(&self, name: PolicyName) -> Policy {
        match name {
            PolicyName::DrainTime => Policy::DrainTime(self.pace(self.rate)),
            PolicyName::Threshold => Policy::Threshold,
            PolicyName::PerMessage => Policy::PerMessage,
        }
    }

    fn pace(&self, rate: f64) -> Throughput {
        let seconds = Duration::from_secs;
        Throughput { rate, target: seconds(self.target_seconds), boot: seconds(self.boot_seconds) }
    }

    fn patience(&self) -> ScalerTimeouts {
        ScalerTimeouts {
            appear: APPEAR,
            dwell: DWELL,
            starve: Duration::from_secs(self.fallback_after_minutes * 60),
            rest: Duration::from_secs(self.rest_seconds),
        }
    }

    /// Returns the most workers in each queue. Only AWS Batch has a second and a third queue.
    fn caps(&self, batch: &Batch) -> Workers {
        let there = |queue: &str, workers| if queue.is_empty() { 0 } else { workers };
        match self.fleet {
            FleetKind::Batch => Workers {
                primary: self.primary,
                secondary: there(&batch.secondary_queue, self.secondary),
                fallback: there(&batch.fallback_queue, self.fallback),
            },
            FleetKind::Ecs | FleetKind::Local => Workers { primary: self.primary, secondary: 0, fallback: 0 },
        }
    }
}

impl Settings {
    /// Returns the settings by which the workers that find faces are scaled.
    pub fn detectors(&self) -> ScalerSettings {
        let Self { scale, batch, .. } = self;
        ScalerSettings {
            name: "muster-detection".to_owned(),
            policy: scale.policy(scale.policy),
            caps: scale.caps(batch),
            floor: scale.rate * scale.rate_floor,
            patience: scale.patience(),
        }
    }

    /// Returns the settings by which the workers that group are scaled.
    pub fn groupers(&self) -> ScalerSettings {
        let Self { scale, batch, .. } = self;
        let caps = scale.caps(batch);
        // The few preferred machines are for workers that find faces.
        let (primary, secondary) = if caps.secondary > 0 { (0, scale.groupers) } else { (scale.groupers, 0) };
        ScalerSettings {
            name: "muster-grouping".to_owned(),
            policy: Policy::DrainTime(scale.pace(GROUPINGS)),
            caps: Workers { primary, secondary, fallback: caps.fallback.min(scale.groupers) },
            floor: GROUPINGS,
            patience: scale.patience(),
        }
    }

    /// Builds a simulation with these settings and this many Spot interruptions per worker and hour.
    pub fn world(&self, interruptions: f64, seed: u64) -> SimulationSettings {
        let Self { scale, queues, fleet, .. } = self;
        SimulationSettings {
            rate: scale.rate,
            boot: Duration::from_secs(scale.boot_seconds),
            tick: Duration::from_secs(scale.tick_seconds),
            caps: Workers { primary: scale.primary, secondary: scale.secondary, fallback: 0 },
            credits: fleet.credits as u64,
            idle: Duration::from_secs(queues.wait_seconds * u64::from(queues.leave_after_empty)),
            interruptions,
            seed,
        }
    }
}

/// Checks that the figures are within their ranges.
pub(super) fn ranges(settings: &Settings, range: &mut impl FnMut(&str, f64, f64, f64)) {
    let scale = &settings.scale;
    range("scale.target_seconds", scale.target_seconds as f64, 60.0, 604_800.0);
    range("scale.boot_seconds", scale.boot_seconds as f64, 0.0, 3600.0);
    range("scale.tick_seconds", scale.tick_seconds as f64, 1.0, 3600.0);
    range("scale.rate", scale.rate, 0.001, 100_000.0);
    range("scale.rate_floor", scale.rate_floor, 0.01, 1.0);
    range("scale.primary", scale.primary as f64, 0.0, 100_000.0);
    range("scale.secondary", scale.secondary as f64, 0.0, 100_000.0);
    range("scale.fallback", scale.fallback as f64, 0.0, 100_000.0);
    range("scale.fallback_after_minutes", scale.fallback_after_minutes as f64, 1.0, 1440.0);
    range("scale.rest_seconds", scale.rest_seconds as f64, 0.0, 86_400.0);
    range("scale.groupers", scale.groupers as f64, 1.0, 1000.0);
}
