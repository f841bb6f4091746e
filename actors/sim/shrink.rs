//! Shrinks a schedule that fails: fewer images and fewer faults, with the failure still there.

use std::time::Duration;

use crate::sim::scenario::{ImageKind, Scenario};

/// Worlds in which a smaller schedule is tried: what it leaves out changes all chance after it.
const WORLDS: u64 = 8;

/// One fault less each.
const EASE: [fn(&mut Scenario); 36] = [
    |s| s.fleet = None,
    |s| {
        if let Some(fleet) = &mut s.fleet {
            fleet.detectors = 1;
        }
    },
    |s| {
        if let Some(fleet) = &mut s.fleet {
            fleet.groupers = 1;
        }
    },
    |s| s.devices = 1,
    |s| s.queue_errors = 0.0,
    |s| s.queue_partial = 0.0,
    |s| s.duplicates = 0.0,
    |s| s.object_errors = 0.0,
    |s| s.object_throttled = 0.0,
    |s| s.slow = 0.0,
    |s| s.store_partial = 0.0,
    |s| s.store_errors = 0.0,
    |s| s.lost_replies = 0.0,
    |s| s.store_overload = 0.0,
    |s| s.records = 1,
    |s| s.told_twice = 0.0,
    |s| s.stored.clear(),
    |s| s.overwritten.clear(),
    |s| s.failover = None,
    |s| s.store_down = None,
    |s| s.memory = None,
    |s| s.sticky = 0.0,
    |s| s.dead_after = None,
    |s| s.lost_after = None,
    |s| s.hang_after = None,
    |s| s.scripts.clear(),
    |s| s.reported = None,
    |s| s.truncated = 0.0,
    |s| s.conflicts = 0.0,
    |s| s.save_time = Duration::ZERO,
    |s| s.transaction_limit = None,
    |s| s.drift = 0.0,
    |s| s.lenient = false,
    |s| s.copies = 0.0,
    |s| s.panics.clear(),
    |s| s.images.iter_mut().for_each(|kind| *kind = ImageKind::Faces(2)),
];

/// Every schedule that is one step smaller.
fn smaller(scenario: &Scenario) -> Vec<Scenario> {
    let with = |change: &dyn Fn(&mut Scenario)| {
        let mut changed = scenario.clone();
        change(&mut changed);
        changed
    };
    let count = scenario.images.len();
    let mut all = Vec::new();
    // The larger half of what could go, then the smaller.
    for part in [2, 4, 8, count.max(1)] {
        let length = count.div_ceil(part).max(1);
        let starts = (0..count).step_by(length).filter(|_| length < count);
        all.extend(starts.map(|start| with(&|s| drop(s.images.drain(start..(start + length).min(count))))));
    }
    all.extend(EASE.iter().map(|ease| with(ease)));
    all.extend((0..scenario.strikes.len()).map(|at| with(&|s| _ = s.strikes.remove(at))));
    all.extend((0..scenario.refusals.len()).map(|at| with(&|s| _ = s.refusals.remove(at))));
    all.extend((0..scenario.notices.len()).map(|at| with(&|s| _ = s.notices.remove(at))));
    // An easing that changes nothing is no step.
    let unchanged = format!("{scenario:?}");
    all.retain(|changed| format!("{changed:?}") != unchanged);
    all
}

/// The smallest schedule found that `fails`, and the seed of the world in which it does.
pub(crate) fn shrink(seed: u64, scenario: &Scenario, fails: impl Fn(u64, &Scenario) -> bool) -> (Scenario, u64) {
    let mut best = (scenario.clone(), seed);
    loop {
        let next = smaller(&best.0).into_iter().find_map(|scenario| {
            let seed = (0..WORLDS).map(|other| best.1.wrapping_add(other)).find(|seed| fails(*seed, &scenario))?;
            Some((scenario, seed))
        });
        match next {
            Some(found) => best = found,
            None => return best,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_schedule_shrinks_to_the_fault_that_fails_it() {
        let seed = (0..).find(|seed| Scenario::random(*seed).store_partial > 0.0).unwrap_or(0);
        let fails = |_, s: &Scenario| s.store_partial > 0.0 && s.images.len() >= 3;
        let mut scenario = Scenario::random(seed);
        scenario.images.resize(20, ImageKind::Corrupt);
        let (small, _) = shrink(seed, &scenario, fails);
        let Scenario { visibility, storm, store_partial, batch_time, bulk_time, tune, .. } = small;
        let rest = Scenario::calm(3);
        let expected = Scenario { visibility, storm, store_partial, batch_time, bulk_time, tune, ..rest };
        assert_eq!(format!("{small:?}"), format!("{expected:?}"));
    }
}
