//! Several workers in one world: what a kill costs, and schedules that once went wrong.

mod worlds;

use std::time::Duration;

use muster_actors::Mode;
use muster_actors::domain::image::RejectReason;
use muster_actors::flow::progress::Stage;
use muster_actors::sim::{DrainNotice, FleetSize, HostFault, ImageKind, Scenario, run, violations};

use worlds::each;

#[test]
fn one_worker_killed_every_ten_minutes_costs_less_than_a_hundredth_of_the_work_again() {
    let images = 10_000;
    let scenario = Scenario {
        fleet: Some(FleetSize { detectors: 4, groupers: 1 }),
        // Slower than any CPU, so that a kill meets work that took long.
        batch_time: Duration::from_secs(16),
        visibility: Duration::from_secs(120),
        kill_every: Some(Duration::from_secs(600)),
        storm: Duration::from_secs(24 * 3600),
        ..Scenario::calm(images)
    };
    let report = run(5, &scenario);
    assert!(report.violations.is_empty(), "{:#?}", report.violations);
    let repeated = report.analysed as f64 / images as f64 - 1.0;
    println!("{} workers killed, {:.3} % of the work done again", report.killed, repeated * 100.0);
    assert!(report.killed >= 7, "{} killed", report.killed);
    assert!(repeated > 0.0 && repeated <= 0.01, "{repeated}");
}

#[test]
fn an_image_that_kills_its_decoder_kills_one_worker_and_is_rejected_with_the_reason() {
    let mut scenario = Scenario { fleet: Some(FleetSize { detectors: 2, groupers: 1 }), ..Scenario::calm(60) };
    for bad in [7, 23, 51] {
        scenario.images[bad] = ImageKind::DecoderAbort;
    }
    for seed in 0..20 {
        let report = run(seed, &scenario);
        assert!(report.violations.is_empty(), "seed {seed}: {:#?}\n{}", report.violations, report.trace.join("\n"));
        let reasons = report.workers.iter().flat_map(|(_, summary)| &summary.rejections);
        let reasons: Vec<_> = reasons.map(|rejected| rejected.rejection.reason).collect();
        assert_eq!(reasons, [RejectReason::Crashed; 3], "seed {seed}");
        assert!((1..=3).contains(&report.killed), "seed {seed}: {} workers died", report.killed);
    }
}

#[test]
fn two_workers_that_group_one_gallery_and_are_killed_leave_the_groups_of_its_faces() {
    for seed in 0..200 {
        let mut scenario = Scenario { fleet: Some(FleetSize { detectors: 1, groupers: 2 }), ..Scenario::calm(30) };
        scenario.storm = Duration::from_secs(40);
        let step = |n: u64| 1 + ((seed * 7 + n * 13) % 40) as u32;
        // Workers 1 and 2 group; 3 and 4 follow whoever died.
        scenario.strikes = (1..5).map(|worker| (worker, step(worker as u64), HostFault::Kill)).collect();
        let found = violations(seed, &scenario);
        assert!(found.is_empty(), "seed {seed}: {found:#?}");
    }
}

#[test]
fn images_that_many_workers_gave_back_are_not_rejected_for_it() {
    let mut scenario = Scenario { fleet: Some(FleetSize { detectors: 1, groupers: 1 }), ..Scenario::calm(8) };
    // No worker ends a batch before it is told that its machine is taken away.
    scenario.batch_time = Duration::from_secs(20);
    scenario.storm = Duration::from_secs(3600);
    let notice = |worker| DrainNotice {
        worker,
        at: Duration::from_secs(5),
        mode: Mode::HandBack,
        deadline: Duration::from_secs(4),
    };
    scenario.notices = (0..60).map(notice).collect();
    each(&scenario, |report| {
        let released: u64 = report.workers.iter().map(|(_, summary)| summary.counts.released).sum();
        assert!(released > 8 * 12, "{released} given back");
        let rejected: u64 = report.workers.iter().map(|(_, summary)| summary.counts.rejected).sum();
        assert_eq!(rejected, 0);
    });
}

/// What random schedules found, as small as it could be made, in several worlds.
fn once(scenario: &Scenario) {
    for seed in 0..20 {
        let report = run(seed, scenario);
        assert!(report.violations.is_empty(), "seed {seed}: {:#?}\n{}", report.violations, report.trace.join("\n"));
    }
}

#[test]
fn messages_that_a_dying_fetcher_had_just_received_are_given_back() {
    let mut scenario = Scenario { visibility: Duration::from_secs(120), ..Scenario::calm(10) };
    scenario.panics.insert(Stage::Fetcher, vec![1, 2]);
    once(&scenario);
    once(&Scenario { fleet: Some(FleetSize { detectors: 1, groupers: 1 }), ..scenario });
}

#[test]
fn a_body_that_ends_early_is_read_again_and_not_decoded() {
    once(&Scenario { truncated: 0.3, ..Scenario::calm(30) });
}

#[test]
fn a_gallery_that_others_write_to_all_the_time_is_grouped_in_the_end_and_never_given_up() {
    let fleet = Some(FleetSize { detectors: 1, groupers: 1 });
    once(&Scenario { fleet, conflicts: 0.99, storm: Duration::from_secs(600), ..Scenario::calm(4) });
}

#[test]
fn a_gallery_that_was_asked_for_is_grouped_after_an_outage() {
    let scenario = Scenario {
        fleet: Some(FleetSize { detectors: 1, groupers: 1 }),
        visibility: Duration::from_secs(5),
        store_down: Some(Duration::from_millis(3_200)),
        storm: Duration::from_secs(43),
        ..Scenario::calm(1)
    };
    once(&scenario);
}

#[test]
fn a_slow_renewal_does_not_hide_what_was_given_back_meanwhile() {
    // Reads that fail give images back while the renewals of their leases are on their way.
    let scenario = Scenario {
        fleet: Some(FleetSize { detectors: 1, groupers: 1 }),
        visibility: Duration::from_secs(12),
        slow: 0.4,
        object_errors: 0.6,
        ..Scenario::calm(40)
    };
    once(&scenario);
}

#[test]
fn a_test_event_that_is_held_when_its_worker_ends_is_no_image_that_was_lost() {
    // Half of all calls are slower than the drain may take: the one that deletes the test event is often among them.
    let scenario = Scenario {
        fleet: Some(FleetSize { detectors: 1, groupers: 1 }),
        visibility: Duration::from_secs(120),
        records: 2,
        slow: 0.5,
        notices: vec![DrainNotice {
            worker: 0,
            at: Duration::from_secs(2),
            mode: Mode::Finish,
            deadline: Duration::from_secs(3),
        }],
        ..Scenario::calm(4)
    };
    once(&scenario);
}
