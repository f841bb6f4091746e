//! The settings of moving work from an ECS service to Batch jobs.

use std::time::Duration;

use muster_actors::cutover::trigger::RollbackLimits;
use muster_actors::cutover::watcher::WatcherRules;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Settings;

/// How work moves from an ECS service to Batch jobs, and at which limits it moves back automatically. A limit of 0 is
/// off.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Cutover {
    /// URL of the queue to which S3 sends its notifications.
    pub intake: String,
    /// URL of the ECS service's queue; the queue of the Batch jobs is `queues.images`.
    pub ecs: String,
    /// Whether a watcher goes on to the next step automatically.
    pub advance: bool,
    /// Least seconds that a step lasts.
    pub dwell_seconds: u64,
    /// Seconds between two observations.
    pub look_seconds: u64,
    /// Seconds before an observation that it covers (the window).
    pub window_seconds: u64,
    /// Least images in the window from which a rate is computed.
    pub images: u64,
    /// Limit of the share of Batch's images that are rejected, above ECS's share.
    pub failure_ratio: f64,
    /// Limit of the seconds from receipt to result that 99 of 100 images stay under.
    pub p99_seconds: f64,
    /// Limit of the seconds that a message waits in Batch's queue, or that Batch finishes nothing.
    pub queue_age_seconds: f64,
    /// Limit of the dead letters since the step began.
    pub dead_letters: u64,
    /// Limit of the US dollars for a thousand images, at `cost.spot_hour`.
    pub dollars_per_thousand: f64,
    /// Limit of the Spot interruptions of Batch's workers in the window.
    pub interruptions: u64,
}

impl Settings {
    /// Returns the rules that a watcher applies.
    pub fn cutover_rules(&self) -> WatcherRules {
        let Cutover { advance, dwell_seconds, look_seconds, .. } = self.cutover;
        let seconds = Duration::from_secs;
        WatcherRules {
            look: seconds(look_seconds),
            dwell: seconds(dwell_seconds),
            advance,
            limits: self.cutover_limits(),
        }
    }

    /// Returns the limits beyond which a cutover is rolled back.
    pub fn cutover_limits(&self) -> RollbackLimits {
        let cutover = &self.cutover;
        RollbackLimits {
            images: cutover.images,
            failure_ratio: cutover.failure_ratio,
            p99_seconds: cutover.p99_seconds,
            queue_age_seconds: cutover.queue_age_seconds,
            dead_letters: cutover.dead_letters as f64,
            dollars_per_thousand: cutover.dollars_per_thousand,
            interruptions: cutover.interruptions as f64,
            dollars_an_hour: self.cost.spot_hour,
        }
    }
}

/// Checks that the figures are within their ranges.
pub(super) fn ranges(settings: &Settings, range: &mut impl FnMut(&str, f64, f64, f64)) {
    let cutover = &settings.cutover;
    range("cutover.dwell_seconds", cutover.dwell_seconds as f64, 0.0, 2_592_000.0);
    // A rollback must happen within a minute.
    range("cutover.look_seconds", cutover.look_seconds as f64, 1.0, 30.0);
    range("cutover.window_seconds", cutover.window_seconds as f64, 10.0, 86_400.0);
    range("cutover.images", cutover.images as f64, 1.0, 5_000.0);
    range("cutover.failure_ratio", cutover.failure_ratio, 0.0, 1.0);
    range("cutover.p99_seconds", cutover.p99_seconds, 0.0, 43_200.0);
    range("cutover.queue_age_seconds", cutover.queue_age_seconds, 0.0, 1_209_600.0);
    range("cutover.dead_letters", cutover.dead_letters as f64, 0.0, 1e9);
    range("cutover.dollars_per_thousand", cutover.dollars_per_thousand, 0.0, 1e6);
    range("cutover.interruptions", cutover.interruptions as f64, 0.0, 1e6);
}
