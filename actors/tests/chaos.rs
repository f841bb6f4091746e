//! Random schedules: whatever goes wrong, what must hold holds. `MUSTER_SEED=N` replays one, `MUSTER_SCHEDULES=N` runs
//! so many.

use muster_actors::sim::{Scenario, replay, run};

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

#[test]
fn every_random_schedule_keeps_the_invariants() {
    if let Some(seed) = number("MUSTER_SEED") {
        let report = replay(seed);
        assert!(report.violations.is_empty(), "seed {seed}: {:#?}", report.violations);
        return;
    }
    let count = number("MUSTER_SCHEDULES").unwrap_or(2_000);
    let failures: Vec<_> = (0..count)
        .map(|seed| run(seed, &Scenario::random(seed)))
        .filter(|report| !report.violations.is_empty())
        .map(|report| format!("seed {}: {:?}", report.seed, report.violations))
        .collect();
    let shown = failures.iter().take(20).cloned().collect::<Vec<_>>().join("\n");
    assert!(failures.is_empty(), "{} of {count} schedules, replay with MUSTER_SEED=N:\n{shown}", failures.len());
}
