//! A scenario in several worlds.

use muster_actors::sim::{Report, Scenario, run};

/// Runs a scenario in several worlds; what must always hold is checked in each.
pub fn each(scenario: &Scenario, check: impl Fn(&Report)) {
    for seed in 0..5 {
        let report = run(seed, scenario);
        let trace = || report.trace.join("\n");
        assert!(report.violations.is_empty(), "seed {seed}: {:#?}\n{}", report.violations, trace());
        check(&report);
    }
}
