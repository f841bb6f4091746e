//! The settings of moving work from an ECS service to Batch jobs.

use std::time::Duration;

use muster_actors::cutover::trigger::RollbackLimits;
use muster_actors::cutover::watcher::WatcherRules;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Settings;

/// How work moves from an ECS service to Batch jobs, and from where on it moves back by itself. A limit of 0 is none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Cutover {
    /// URL of the queue that S3 notifies.
    pub intake: String,
    /// URL of the ECS service's queue; Batch's is `queues.images`.
    pub ecs: String,
    /// Whether a watcher goes on to the next step by itself.
    pub advance: bool,
    /// Seconds that a step is in force at least.
    pub dwell_seconds: u64,
    /// Seconds between two looks.
    pub look_seconds: u64,
    /// Seconds that a look goes back.
    pub window_seconds: u64,
    /// Fewer images in the window say nothing of a rate.
    pub images: u64,
    /// Share of Batch's images that are rejected, beyond ECS's share.
    pub failure_ratio: f64,
    /// Seconds that 99 of 100 images stay under, from receipt to result.
    pub p99_seconds: f64,
    /// Seconds that a message waits in Batch's queue, or that nothing comes out of it.
    pub queue_age_seconds: f64,
    /// Dead letters since the step began.
    pub dead_letters: u64,
    /// US dollars for a thousand images, at `cost.spot_hour`.
    pub dollars_per_thousand: f64,
    /// Spot interruptions of Batch's workers in the window.
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
    // A rollback is promised within a minute.
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
