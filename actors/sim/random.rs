//! Random scenarios.

use std::collections::BTreeSet;
use std::time::Duration;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::flow::progress::Stage;
use crate::pipeline::settings::{PrefilterSettings, Settings, Wake};
use crate::runtime::drain::Mode;
use crate::sim::refusal::{Refusal, RefusalAnswer, RefusedCall};
use crate::sim::scenario::{DrainNotice, FleetSize, HostFault, ImageKind, Scenario};
use crate::sim::script::FaultScript;

impl Scenario {
    /// Whatever `seed` makes of it: every fault is in a third of the runs or less, so that they meet in all pairs.
    pub fn random(seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed ^ 0x5EED);
        let rng = &mut rng;
        let mut scenario = Self::calm(0);
        let count = rng.random_range(1..40);
        let oddities = if rng.random_bool(0.5) { 0.15 } else { 0.0 };
        scenario.images = (0..count).map(|_| kind(rng, oddities)).collect();
        scenario.visibility = Duration::from_secs([5, 30, 120][rng.random_range(0..3)]);
        scenario.devices = rng.random_range(1..=3);
        for chance in [
            &mut scenario.queue_errors,
            &mut scenario.queue_partial,
            &mut scenario.duplicates,
            &mut scenario.object_errors,
            &mut scenario.object_throttled,
            &mut scenario.store_partial,
            &mut scenario.store_errors,
            &mut scenario.lost_replies,
            &mut scenario.store_overload,
        ] {
            if rng.random_bool(0.3) {
                *chance = rng.random_range(0.01..0.3);
            }
        }
        if rng.random_bool(0.15) {
            scenario.slow = rng.random_range(0.01..0.1);
        }
        let mut sometimes = |chance: f64| rng.random_bool(chance).then(|| rng.random_range(0..20u32));
        let memory = sometimes(0.3);
        let [dead, lost, hang] = [sometimes(0.05), sometimes(0.05), sometimes(0.05)];
        (scenario.dead_after, scenario.lost_after, scenario.hang_after) = (dead, lost, hang);
        scenario.memory = memory.map(|n| (n % 8 + 1) as usize);
        let [failover, down] = [sometimes(0.15), sometimes(0.05)];
        scenario.failover = failover.map(|s| (Duration::from_millis(u64::from(s) * 100), Duration::from_secs(4)));
        scenario.store_down = down.map(|s| Duration::from_millis(u64::from(s) * 200));
        if rng.random_bool(0.15) {
            scenario.sticky = rng.random_range(0.01..0.2);
        }
        scenario.batch_time = Duration::from_millis(rng.random_range(1..1_500));
        scenario.bulk_time = Duration::from_millis(rng.random_range(1..500));
        for stage in Stage::ALL {
            if rng.random_bool(0.1) {
                let strikes = (0..rng.random_range(1..4)).map(|_| rng.random_range(1..20)).collect();
                scenario.panics.insert(stage, strikes);
            }
        }
        if rng.random_bool(0.4) {
            let mode = if rng.random_bool(0.5) { Mode::Finish } else { Mode::HandBack };
            let at = Duration::from_millis(rng.random_range(0..8_000));
            let deadline = Duration::from_millis(rng.random_range(500..20_000));
            scenario.notices.push(DrainNotice { worker: 0, at, mode, deadline });
        }
        scenario.random_fleet(rng);
        scenario.tune = [|_: &mut Settings| {}, tight, eager][rng.random_range(0..3)];
        if rng.random_bool(0.25) {
            let struck = rng.random_range(1..=scenario.devices);
            scenario.scripts = (0..struck).map(|_| FaultScript::random(rng)).collect();
        }
        if rng.random_bool(0.03) {
            scenario.reported = Some(Duration::from_millis(rng.random_range(0..8_000)));
        }
        scenario
    }

    /// What only several machines, or none, can do.
    fn random_fleet(&mut self, rng: &mut ChaCha8Rng) {
        let mut overwritten = BTreeSet::new();
        if rng.random_bool(0.7) {
            self.fleet = Some(FleetSize { detectors: rng.random_range(1..=3), groupers: rng.random_range(1..=2) });
        }
        self.storm = Duration::from_secs(rng.random_range(2..60));
        self.duplicates = self.duplicates.max(0.05);
        self.lenient = rng.random_bool(0.5);
        for (chance, most) in [(&mut self.truncated, 0.2), (&mut self.copies, 0.2), (&mut self.drift, 0.2)] {
            if rng.random_bool(0.3) {
                *chance = rng.random_range(0.01..most);
            }
        }
        if rng.random_bool(0.6) {
            for _ in 0..rng.random_range(1..=4) {
                let strike = if rng.random_bool(0.75) {
                    HostFault::Kill
                } else {
                    HostFault::Freeze(Duration::from_millis(rng.random_range(100..60_000)))
                };
                self.strikes.push((rng.random_range(0..6), rng.random_range(1..150), strike));
            }
        }
        if rng.random_bool(0.5) {
            self.records = rng.random_range(2..=4);
        }
        if rng.random_bool(0.3) {
            self.told_twice = rng.random_range(0.05..0.3);
        }
        if rng.random_bool(0.3) {
            self.refusals.push(refusal(rng));
        }
        for (images, likely) in [(&mut self.stored, 0.5), (&mut overwritten, 0.3)] {
            if rng.random_bool(likely) {
                images.extend((0..self.images.len()).filter(|_| rng.random_bool(0.4)));
            }
        }
        // Some are before any worker has read the first version, some in the midst of it.
        let at = |image| (image, Duration::from_millis(rng.random_range(0..8_000)));
        self.overwritten = overwritten.into_iter().map(at).collect();
        if rng.random_bool(0.3) {
            self.conflicts = rng.random_range(0.01..0.5);
        }
        if rng.random_bool(0.3) {
            self.save_time = Duration::from_millis(rng.random_range(10..2_000));
            self.transaction_limit = rng.random_bool(0.3).then(|| Duration::from_millis(rng.random_range(10..2_000)));
        }
        let others = rng.random_range(0..3);
        for _ in 0..others {
            self.notices.push(DrainNotice {
                worker: rng.random_range(1..6),
                at: Duration::from_millis(rng.random_range(0..8_000)),
                mode: Mode::HandBack,
                deadline: Duration::from_secs(20),
            });
        }
    }
}

/// A policy, a key or a service that breaks after calls have succeeded.
fn refusal(rng: &mut ChaCha8Rng) -> Refusal {
    let asked = [RefusedCall::Get, RefusedCall::Put, RefusedCall::Send][rng.random_range(0..3)];
    let answer = RefusalAnswer::ALL[rng.random_range(0..RefusalAnswer::ALL.len())];
    // A policy and a key are broken for every call.
    let share = if answer.class().passes() { rng.random_range(0.2..=1.0) } else { 1.0 };
    let [from, length] = [0..6_000, 200..12_000].map(|range| Duration::from_millis(rng.random_range(range)));
    Refusal { asked, answer, from, length, share }
}

/// Little room everywhere, and the prefilter on.
fn tight(settings: &mut Settings) {
    settings.credits.count = 3;
    settings.batch.count = 2;
    settings.writer.count = 2;
    settings.lease_manager.batch = 2;
    settings.lease_manager.backlog = 2;
    settings.prefilter = Some(PrefilterSettings { threshold: 0.5, sibling: None, head_bytes: 4, at_once: 2 });
}

/// Groups while it indexes.
fn eager(settings: &mut Settings) {
    settings.grouper.wake = Wake::Debounced(Duration::from_millis(500));
    settings.writer.at_once = 3;
}

fn kind(rng: &mut ChaCha8Rng, oddities: f64) -> ImageKind {
    if !rng.random_bool(oddities) {
        return ImageKind::Faces(rng.random_range(0..4));
    }
    match rng.random_range(0..8) {
        0 => ImageKind::Poor,
        1 => ImageKind::Corrupt,
        2 => ImageKind::Missing,
        3 => ImageKind::BadMessage,
        4 => ImageKind::DecoderPanic,
        5 => ImageKind::Poison,
        6 => ImageKind::DecoderAbort,
        _ => ImageKind::Huge,
    }
}
