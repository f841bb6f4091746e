//! Random schedules: whatever goes wrong, what must hold holds. `MUSTER_SEED=N` replays one, as small as it fails;
//! `MUSTER_SCHEDULES=N` runs so many.

use std::sync::atomic::{AtomicU64, Ordering};

use muster_actors::sim::planted_bugs::PlantedBug;
use muster_actors::sim::{Scenario, replay, violations};

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

/// Runs the schedules of seeds from 0, on every core, until `stop` says so of one's violations; those that had any.
fn schedules(count: u64, tune: impl Fn(&mut Scenario) + Sync, stop: fn(&[String]) -> bool) -> Vec<(u64, Vec<String>)> {
    let (next, cores) = (AtomicU64::new(0), std::thread::available_parallelism().map_or(1, usize::from));
    let work = || {
        let mut failed = Vec::new();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= count {
                return failed;
            }
            let mut scenario = Scenario::random(seed);
            tune(&mut scenario);
            let found = violations(seed, &scenario);
            if stop(&found) {
                next.store(count, Ordering::Relaxed);
            }
            if !found.is_empty() {
                failed.push((seed, found));
            }
        }
    };
    let mut failed: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    failed.sort();
    failed
}

#[test]
fn every_random_schedule_keeps_the_invariants() {
    if let Some(seed) = number("MUSTER_SEED") {
        let report = replay(seed);
        assert!(report.violations.is_empty(), "seed {seed}: {:#?}", report.violations);
        return;
    }
    let count = number("MUSTER_SCHEDULES").unwrap_or(10_000);
    let failed = schedules(count, |_| {}, |_| false);
    let shown: Vec<_> = failed.iter().take(20).map(|(seed, found)| format!("seed {seed}: {found:?}")).collect();
    let shown = shown.join("\n");
    assert!(failed.is_empty(), "{} of {count} schedules, replay with MUSTER_SEED=N:\n{shown}", failed.len());
}

/// Schedules that broke an invariant once.
const REGRESSIONS: [u64; 4] = [22104, 34261, 34692, 57115];

#[test]
fn schedules_that_failed_once_keep_the_invariants() {
    for seed in REGRESSIONS {
        let found = violations(seed, &Scenario::random(seed));
        assert!(found.is_empty(), "seed {seed}: {found:#?}");
    }
}

#[test]
fn every_planted_bug_is_found_within_ten_thousand_schedules() {
    for planted_bug in PlantedBug::ALL {
        let failed = schedules(10_000, |scenario| scenario.planted_bug = Some(planted_bug), |found| !found.is_empty());
        let (seed, found) = failed.first().unwrap_or_else(|| panic!("{planted_bug:?} was not found"));
        println!("{planted_bug:?}: seed {seed}: {}", found[0]);
    }
}
