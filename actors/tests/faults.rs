//! One fault at a time, under a paused clock.

mod worlds;

use std::time::Duration;

use muster_actors::domain::image::RejectReason;
use muster_actors::errors::backoff::RetrySettings;
use muster_actors::flow::progress::Stage;
use muster_actors::sim::{DrainNotice, ImageKind, Scenario, run};
use muster_actors::{Exit, Mode, Settings};

use worlds::each;

#[test]
fn a_panic_in_each_actor_in_turn_costs_a_restart_and_no_image() {
    for stage in Stage::ALL.into_iter().filter(|stage| *stage != Stage::Decoder) {
        let mut scenario = Scenario::calm(40);
        scenario.panics.insert(stage, vec![2]);
        (scenario.tune) = |settings| {
            settings.prefilter = Some(PREFILTER);
            settings.writer.count = 4;
            settings.lease_manager.batch = 4;
        };
        each(&scenario, |report| {
            let (exit, summary) = report.first();
            assert_eq!(*exit, Exit::Drained, "{stage:?}");
            assert_eq!(summary.restarts.values().sum::<u64>(), 1, "{stage:?}: {:?}", summary.restarts);
            assert_eq!(summary.counts.indexed + summary.counts.lease_lost, 40, "{stage:?}: {:?}", summary.counts);
        });
    }
}

const PREFILTER: muster_actors::pipeline::settings::PrefilterSettings =
    muster_actors::pipeline::settings::PrefilterSettings { threshold: 0.5, sibling: None, head_bytes: 4, at_once: 2 };

#[test]
fn a_child_that_dies_too_often_stops_the_run_as_a_bug() {
    for stage in [Stage::Fetcher, Stage::Downloader, Stage::Batcher, Stage::Device, Stage::Writer, Stage::LeaseManager]
    {
        let mut scenario = Scenario::calm(60);
        scenario.panics.insert(stage, (1..40).collect());
        each(&scenario, |report| {
            let (exit, summary) = report.first();
            assert_eq!(exit.code(), 70, "{stage:?}: {exit}");
            let most = Settings::default().intensity.max as u64;
            assert_eq!(summary.restarts.values().max(), Some(&most), "{stage:?}");
            assert_eq!(summary.counts.rejected, 0, "{stage:?}: no image pays for the bug");
        });
    }
}

#[test]
fn a_decoder_that_panics_on_an_image_ends_in_its_rejection_when_it_is_decoded_apart() {
    let mut scenario = Scenario::calm(10);
    scenario.images[4] = ImageKind::DecoderPanic;
    each(&scenario, |report| {
        let (exit, summary) = report.first();
        assert_eq!((exit, summary.restarts.len(), summary.counts.indexed), (&Exit::Drained, 0, 9));
        assert_eq!((summary.counts.released, summary.counts.rejected), (1, 1));
        assert_eq!(summary.rejections[0].rejection.reason, RejectReason::Crashed);
    });
}

#[test]
fn memory_that_runs_out_halves_the_batch_and_no_image_is_lost() {
    for memory in [1, 2, 3, 4, 5, 7] {
        let mut scenario = Scenario::calm(200);
        scenario.memory = Some(memory);
        each(&scenario, |report| {
            let (exit, summary) = report.first();
            assert_eq!((exit, summary.counts.indexed, summary.rebuilds), (&Exit::Drained, 200, 0));
            assert!(summary.out_of_memory >= 1, "memory for {memory}");
            let tried_again = summary.out_of_memory < 40;
            assert!(tried_again, "it ran out {} times with memory for {memory}", summary.out_of_memory);
        });
    }
}

#[test]
fn the_batch_size_grows_back_to_what_the_memory_holds() {
    let mut scenario = Scenario::calm(400);
    scenario.memory = Some(5);
    each(&scenario, |report| {
        let sizes = &report.first().1.batch_sizes;
        assert!(sizes.get(&5).copied().unwrap_or(0) > 5, "{sizes:?}");
    });
}

#[test]
fn an_image_too_large_even_alone_is_isolated_after_one_rebuild() {
    let mut scenario = Scenario::calm(30);
    scenario.images[9] = ImageKind::Huge;
    each(&scenario, |report| {
        let (exit, summary) = report.first();
        assert_eq!((exit, summary.counts.indexed, summary.counts.rejected), (&Exit::Drained, 29, 1));
        assert_eq!((summary.rebuilds, summary.rejections[0].rejection.reason), (1, RejectReason::Isolated));
    });
}

#[test]
fn an_image_that_breaks_every_engine_is_isolated_and_its_neighbours_are_not() {
    let mut scenario = Scenario::calm(40);
    scenario.images[9] = ImageKind::Poison;
    scenario.images[31] = ImageKind::Poison;
    each(&scenario, |report| {
        let counts =
            report.workers.iter().fold((0, 0), |sum, (_, s)| (sum.0 + s.counts.indexed, sum.1 + s.counts.rejected));
        assert_eq!(counts, (38, 2));
        let reasons = report.workers.iter().flat_map(|(_, s)| &s.rejections).map(|r| r.rejection.reason);
        assert!(reasons.clone().all(|reason| reason == RejectReason::Isolated), "{:?}", reasons.collect::<Vec<_>>());
    });
}

#[test]
fn a_result_that_the_store_refuses_ends_with_its_reason_and_those_beside_it_are_written() {
    let mut scenario = Scenario::calm(60);
    for forgotten in [3, 4, 20, 41] {
        scenario.images[forgotten] = ImageKind::Forgotten;
    }
    // Failures of both kinds in one bulk.
    scenario.store_partial = 0.3;
    each(&scenario, |report| {
        let (exit, summary) = report.first();
        assert_eq!((exit, summary.counts.indexed, summary.counts.rejected), (&Exit::Drained, 56, 4));
        assert!(summary.rejections.iter().all(|r| r.rejection.reason == RejectReason::Forgotten));
    });
}

#[test]
fn a_full_writer_holds_the_fetcher_back_by_credits() {
    let mut scenario = Scenario::calm(60);
    scenario.bulk_time = Duration::from_millis(2_500);
    (scenario.tune) = |settings| {
        settings.credits.count = 6;
        settings.writer.count = 3;
    };
    each(&scenario, |report| {
        let (exit, summary) = report.first();
        assert_eq!((exit, summary.counts.indexed), (&Exit::Drained, 60));
        // Six at a time, three a bulk: the store's pace is everybody's.
        assert!(summary.seconds > 35.0, "{} s", summary.seconds);
        let mut open = 0i32;
        for line in &report.trace {
            open += i32::from(line.contains("queue.receive ")) - i32::from(line.contains("queue.ack "));
            // Credits return when a result is written, acks follow a moment later.
            assert!(open <= 6 + 3, "{open} leases open at {line}");
        }
    });
}

#[test]
fn a_slow_device_costs_time_and_no_lease() {
    let mut scenario = Scenario::calm(40);
    scenario.batch_time = Duration::from_secs(15);
    scenario.visibility = Duration::from_secs(5);
    each(&scenario, |report| {
        let (exit, summary) = report.first();
        assert_eq!((exit, summary.counts.indexed, summary.counts.lease_lost), (&Exit::Drained, 40, 0));
    });
}

#[test]
fn a_drain_at_any_time_keeps_its_deadline_and_gives_back_or_finishes_what_is_held() {
    for mode in [Mode::Finish, Mode::HandBack] {
        // From before the first receive to after the last ack: every stage is met with work in it.
        for at in (0..4_000).step_by(50) {
            let mut scenario = Scenario::calm(60);
            scenario.notices =
                vec![DrainNotice { worker: 0, at: Duration::from_millis(at), mode, deadline: Duration::from_secs(20) }];
            let report = run(at, &scenario);
            assert!(report.violations.is_empty(), "{mode:?} at {at} ms: {:#?}", report.violations);
            let (exit, summary) = report.first();
            if summary.counts.indexed < 60 || mode == Mode::Finish {
                assert_eq!(exit.code(), if mode == Mode::Finish { 0 } else { 80 }, "{mode:?} at {at} ms");
            }
            if mode == Mode::Finish {
                assert_eq!(summary.counts.indexed, summary.fetched, "finished at {at} ms");
            }
            assert!(summary.stragglers.is_empty(), "{mode:?} at {at} ms: {:?}", summary.stragglers);
        }
    }
}

#[test]
fn a_drain_that_cannot_be_done_in_time_names_its_stragglers_and_gives_back() {
    let mut scenario = Scenario::calm(20);
    scenario.batch_time = Duration::from_secs(25);
    scenario.notices = vec![DrainNotice {
        worker: 0,
        at: Duration::from_secs(2),
        mode: Mode::Finish,
        deadline: Duration::from_secs(10),
    }];
    each(&scenario, |report| {
        let (exit, summary) = report.first();
        assert_eq!((exit.code(), summary.counts.released), (80, summary.fetched));
        assert!(summary.stragglers.iter().any(|name| name.starts_with("device")), "{:?}", summary.stragglers);
    });
}

#[test]
fn what_is_broken_for_good_ends_with_its_own_exit_code() {
    type Break = fn(&mut Scenario);
    let breaks: [(Break, u8); 5] = [
        (|s| s.store_down = Some(Duration::from_millis(500)), 81),
        (|s| s.lost_after = Some(2), 82),
        (|s| s.hang_after = Some(2), 83),
        (|s| s.dead_after = Some(2), 84),
        (|s| s.queue_errors = 1.0, 81),
    ];
    for (break_it, code) in breaks {
        let mut scenario = Scenario::calm(60);
        break_it(&mut scenario);
        each(&scenario, |report| assert_eq!(report.first().0.code(), code, "{}", report.first().0));
    }
}

#[test]
fn a_store_that_fails_over_is_waited_for() {
    let mut scenario = Scenario::calm(60);
    scenario.failover = Some((Duration::from_millis(300), Duration::from_secs(4)));
    (scenario.tune) = |settings| settings.retry = RetrySettings { attempts: 20, ..settings.retry };
    each(&scenario, |report| {
        let (exit, summary) = report.first();
        assert_eq!((exit, summary.counts.indexed, summary.counts.released), (&Exit::Drained, 60, 0));
    });
}

#[test]
fn the_same_seed_gives_the_same_run() {
    for seed in 0..50 {
        let scenario = Scenario::random(seed);
        assert_eq!(run(seed, &scenario).trace, run(seed, &scenario).trace, "seed {seed}");
    }
}
