//! The real Device actors over engines that fail as a script says, under a paused clock. In each world it is checked that
//! every image ends once, leases and credits come back, and the store holds what a run without faults leaves.

mod worlds;

use std::collections::BTreeSet;
use std::time::Duration;

use muster_actors::domain::image::RejectReason;
use muster_actors::sim::{DeviceFault, DrainNotice, EngineCall, FaultScript, ImageKind, Report, Scenario, run};
use muster_actors::{Exit, Mode, Settings};

use worlds::each;

/// `images` on devices that each follow a script.
fn on(images: usize, scripts: Vec<FaultScript>) -> Scenario {
    Scenario { devices: scripts.len(), scripts, ..Scenario::calm(images) }
}

/// A device without faults.
fn sound() -> FaultScript {
    FaultScript::default()
}

/// The sizes of the batches that a device ran, in order, and when.
fn sizes(report: &Report, device: usize) -> Vec<(Duration, usize)> {
    let ran = report.devices[device].iter().filter(|call| call.fault.is_none());
    ran.map(|call| (call.at, call.images.len())).collect()
}

/// The images that each device ran, in order.
fn ran(report: &Report) -> Vec<Vec<u64>> {
    let images = |calls: &Vec<EngineCall>| {
        calls.iter().filter(|call| call.fault.is_none()).flat_map(|call| call.images.clone()).collect()
    };
    report.devices.iter().map(images).collect()
}

fn indexed(report: &Report) -> (u8, u64, u64) {
    let (exit, summary) = report.first();
    (exit.code(), summary.counts.indexed, summary.devices_lost)
}

#[test]
fn two_devices_share_the_work_by_pulling_and_none_does_it_twice() {
    each(&on(200, vec![sound(), sound()]), |report| {
        assert_eq!(indexed(report), (0, 200, 0));
        let shares = ran(report);
        assert!(shares.iter().all(|share| share.len() >= 60), "{:?}", shares.iter().map(Vec::len).collect::<Vec<_>>());
        let once: BTreeSet<u64> = shares.iter().flatten().copied().collect();
        assert_eq!((once.len(), shares.iter().map(Vec::len).sum::<usize>()), (200, 200));
    });
}

#[test]
fn a_slow_device_pulls_less() {
    let slow = FaultScript { chances: vec![(1.0, DeviceFault::Slow(Duration::from_millis(900)))], ..sound() };
    each(&on(400, vec![sound(), slow]), |report| {
        assert_eq!(indexed(report), (0, 400, 0));
        let calls: Vec<usize> = report.devices.iter().map(Vec::len).collect();
        assert!(calls[0] > 4 * calls[1] && calls[1] > 0, "{calls:?}");
    });
}

#[test]
fn memory_that_another_tenant_takes_halves_the_batches_and_they_grow_back_when_it_leaves() {
    let seconds = Duration::from_secs;
    let script = FaultScript { memory: vec![(seconds(4), Some(2)), (seconds(12), None)], ..sound() };
    let tune = |settings: &mut Settings| settings.regrow_after = 2;
    each(&Scenario { tune, ..on(4_000, vec![script]) }, |report| {
        assert_eq!(indexed(report), (0, 4_000, 0));
        let sizes = sizes(report, 0);
        let within = |from: u64, to: u64| {
            sizes.iter().filter(move |(at, _)| (seconds(from)..seconds(to)).contains(at)).map(|(_, size)| *size)
        };
        assert_eq!(within(0, 4).max(), Some(8));
        assert!(within(4, 12).count() > 40 && within(4, 12).all(|size| size <= 2), "{sizes:?}");
        let back = sizes.iter().position(|(at, size)| *at > seconds(12) && *size == 8);
        assert!(back.is_some_and(|back| back + 20 < sizes.len()), "{sizes:?}");
        let steps: BTreeSet<usize> = within(12, 1_000).collect();
        assert!((2..=8).all(|size| steps.contains(&size)), "step by step: {steps:?}");
        let (_, summary) = report.first();
        assert_eq!((summary.rebuilds, summary.counts.rejected), (0, 0));
        assert!((2..12).contains(&summary.out_of_memory), "it ran out {} times", summary.out_of_memory);
    });
}

#[test]
fn the_first_batch_is_what_the_memory_has_room_for_and_batches_grow_to_the_setting() {
    let tune = |settings: &mut Settings| settings.regrow_after = 2;
    let script = FaultScript { room: Some(3), ..sound() };
    each(&Scenario { tune, ..on(300, vec![script]) }, |report| {
        assert_eq!(indexed(report), (0, 300, 0));
        let sizes: Vec<usize> = sizes(report, 0).into_iter().map(|(_, size)| size).collect();
        assert!(sizes.iter().take(2).all(|size| *size <= 3), "{sizes:?}");
        assert_eq!(sizes.iter().max(), Some(&8), "the estimate is no bound");
        assert_eq!(report.first().1.out_of_memory, 0);
    });
    // The setting is.
    each(&on(100, vec![FaultScript { room: Some(64), ..sound() }]), |report| {
        assert_eq!(sizes(report, 0).into_iter().map(|(_, size)| size).max(), Some(8));
    });
}

#[test]
fn an_image_that_does_not_fit_alone_costs_one_rebuild_and_is_the_only_one_isolated() {
    let script = FaultScript::with(9, DeviceFault::OutOfMemory);
    let mut scenario = on(40, vec![script.clone(), script]);
    scenario.images[9] = ImageKind::Huge;
    each(&scenario, |report| {
        let (exit, summary) = report.first();
        assert_eq!((exit, summary.counts.indexed, summary.counts.rejected), (&Exit::Drained, 39, 1));
        assert_eq!((summary.rebuilds, summary.rejections[0].rejection.reason), (1, RejectReason::Isolated));
        assert_eq!(summary.rejections[0].locator.as_ref().map(|at| at.key.as_str()), Some("even/photo 9"));
    });
}

#[test]
fn a_device_whose_memory_is_gone_for_good_blames_no_image() {
    let full = FaultScript { memory: vec![(Duration::from_secs(1), Some(0))], ..sound() };
    each(&on(200, vec![full.clone(), sound()]), |report| {
        assert_eq!(indexed(report), (82, 200, 1));
        assert_eq!(report.first().1.counts.rejected, 0);
    });
    each(&on(200, vec![full]), |report| {
        let (exit, summary) = report.first();
        assert_eq!((exit.code(), summary.counts.rejected), (84, 0), "{exit}");
        assert_eq!(summary.counts.indexed + summary.counts.released, summary.fetched);
    });
}

#[test]
fn an_engine_that_breaks_is_rebuilt_and_runs_the_same_images_again() {
    for fault in [DeviceFault::Sticky, DeviceFault::Gone] {
        each(&on(80, vec![FaultScript::new(3, fault)]), |report| {
            let (exit, summary) = report.first();
            assert_eq!((exit, summary.counts.indexed, summary.rebuilds), (&Exit::Drained, 80, 1), "{fault:?}");
            let failed: BTreeSet<u64> = report.devices[0][3].images.iter().copied().collect();
            let after = &report.devices[0][4..];
            let again: BTreeSet<u64> = after.iter().take(failed.len()).flat_map(|call| call.images.clone()).collect();
            assert_eq!(again, failed, "{fault:?}: one by one");
        });
    }
}

#[test]
fn a_device_that_is_lost_leaves_its_images_to_the_other_and_the_host_is_replaced_when_all_is_done() {
    for call in [0, 1, 5] {
        each(&on(200, vec![FaultScript::new(call, DeviceFault::CallLoss), sound()]), |report| {
            assert_eq!(indexed(report), (82, 200, 1));
            let (exit, summary) = report.first();
            assert_eq!(exit.to_string(), "the host is broken: 1 of 2 devices lost; drained");
            assert_eq!((summary.counts.released, summary.counts.rejected, summary.restarts.len()), (0, 0, 0));
            let [lost, other] = [0, 1].map(|device| &report.devices[device]);
            assert_eq!(lost.len() as u64, call + 1, "it is not asked again");
            let taken = lost.last().map(|call| call.images.clone()).unwrap_or_default();
            assert!(taken.iter().all(|image| other.iter().any(|call| call.images.contains(image))));
        });
    }
}

#[test]
fn a_device_that_is_lost_while_a_finish_drains_leaves_its_images_to_the_other() {
    for call in 0..12 {
        let notice = DrainNotice {
            worker: 0,
            at: Duration::from_millis(800),
            mode: Mode::Finish,
            deadline: Duration::from_secs(60),
        };
        let scenario = Scenario {
            notices: vec![notice],
            batch_time: Duration::from_millis(700),
            ..on(200, vec![FaultScript::new(call, DeviceFault::CallLoss), sound()])
        };
        each(&scenario, |report| {
            let (exit, summary) = report.first();
            assert_eq!(summary.counts.indexed, summary.fetched, "lost at {call}: {:?}", summary.counts);
            assert_eq!(exit.code(), if summary.devices_lost > 0 { 82 } else { 0 });
        });
    }
}

#[test]
fn a_hand_back_after_a_device_was_lost_ends_as_on_a_broken_host() {
    let at = Duration::from_secs(3);
    let notice = DrainNotice { worker: 0, at, mode: Mode::HandBack, deadline: Duration::from_secs(20) };
    let scenario =
        Scenario { notices: vec![notice], ..on(600, vec![FaultScript::new(2, DeviceFault::CallLoss), sound()]) };
    each(&scenario, |report| {
        let (exit, summary) = report.first();
        assert_eq!((exit.code(), summary.devices_lost), (82, 1));
        assert!(summary.counts.indexed > 100 && summary.counts.released > 0, "{:?}", summary.counts);
    });
}

#[test]
fn the_last_device_that_is_lost_ends_the_run_with_everything_released() {
    let scripts = vec![
        FaultScript::new(4, DeviceFault::CallLoss),
        FaultScript::new(2, DeviceFault::CallLoss),
        FaultScript::new(7, DeviceFault::CallLoss),
    ];
    each(&on(400, scripts), |report| {
        let (exit, summary) = report.first();
        assert_eq!((exit.code(), summary.devices_lost), (82, 3));
        let counts = summary.counts;
        assert_eq!(counts.indexed + counts.released, summary.fetched);
        assert!(counts.indexed > 0 && counts.released > 0, "{counts:?}");
    });
}

#[test]
fn an_engine_that_no_rebuild_mends_retires_its_device_alone() {
    for fault in [DeviceFault::Dead, DeviceFault::Unloadable] {
        each(&on(200, vec![sound(), FaultScript::new(2, fault), sound()]), |report| {
            assert_eq!(indexed(report), (82, 200, 1), "{fault:?}");
            assert_eq!((report.first().1.counts.released, report.first().1.counts.rejected), (0, 0), "{fault:?}");
        });
        each(&on(200, vec![FaultScript::new(2, fault)]), |report| {
            let (exit, summary) = report.first();
            assert_eq!((exit.code(), summary.counts.rejected), (84, 0), "{fault:?}: {exit}");
        });
    }
}

#[test]
fn devices_that_die_at_the_same_time_do_not_each_take_the_other_for_alive() {
    for fault in [DeviceFault::Dead, DeviceFault::Unloadable, DeviceFault::CallLoss] {
        each(&on(200, vec![FaultScript::new(3, fault); 3]), |report| {
            let (exit, summary) = report.first();
            assert_eq!(exit.code(), if fault == DeviceFault::CallLoss { 82 } else { 84 }, "{fault:?}: {exit}");
            assert_eq!(summary.counts.indexed + summary.counts.released, summary.fetched, "{fault:?}");
        });
    }
}

#[test]
fn an_image_that_breaks_every_engine_until_it_is_rebuilt_is_isolated_and_retires_no_device() {
    for fault in [DeviceFault::Sticky, DeviceFault::Gone] {
        for image in [0, 9, 39] {
            let mut scenario = on(40, vec![FaultScript::with(image, fault); 2]);
            scenario.images[image as usize] = ImageKind::Poison;
            each(&scenario, |report| {
                let (exit, summary) = report.first();
                assert_eq!((exit, summary.counts.rejected, summary.devices_lost), (&Exit::Drained, 1, 0), "{fault:?}");
            });
        }
    }
}

#[test]
fn an_image_that_breaks_every_engine_for_good_takes_one_device_along_and_ends_the_run() {
    for fault in [DeviceFault::Dead, DeviceFault::Unloadable] {
        for devices in 2..6 {
            for image in [0, 30, 150] {
                each(&on(200, vec![FaultScript::with(image, fault); devices]), |report| {
                    let (exit, summary) = report.first();
                    assert_eq!(exit.code(), 84, "{fault:?} on {devices}: {exit}");
                    assert!(summary.devices_lost <= 1, "{fault:?}: {} of {devices}", summary.devices_lost);
                    assert_eq!(summary.counts.rejected, 0, "{fault:?}");
                });
            }
        }
    }
}

#[test]
fn a_device_that_does_not_answer_ends_the_run_as_a_hang_whatever_the_others_do() {
    each(&on(200, vec![FaultScript::new(3, DeviceFault::Hang), sound()]), |report| {
        let (exit, summary) = report.first();
        assert_eq!((exit.code(), summary.counts.indexed + summary.counts.released), (83, summary.fetched), "{exit}");
    });
}

#[test]
fn a_device_that_answers_for_too_few_images_ends_the_run_as_a_bug() {
    each(&on(100, vec![FaultScript::new(3, DeviceFault::Miscount), sound()]), |report| {
        let (exit, summary) = report.first();
        assert_eq!((exit.code(), summary.counts.rejected), (70, 0), "{exit}");
    });
}

#[test]
fn a_fault_that_only_others_see_ends_the_run_with_everything_released() {
    let scenario = Scenario { reported: Some(Duration::from_secs(2)), ..on(400, vec![sound(), sound()]) };
    each(&scenario, |report| {
        let (exit, summary) = report.first();
        assert_eq!((exit.code(), summary.devices_lost), (82, 0), "{exit}");
        let counts = summary.counts;
        assert!(counts.indexed > 0 && counts.indexed + counts.released == summary.fetched, "{counts:?}");
    });
}

#[test]
fn faults_of_all_kinds_on_devices_lose_no_image() {
    let chance = |fault, seed| FaultScript { chances: vec![(0.08, fault)], seed, ..sound() };
    for seed in 0..20 {
        let scripts = vec![
            chance(DeviceFault::OutOfMemory, seed),
            chance(DeviceFault::Gone, seed),
            chance(DeviceFault::CallLoss, seed),
        ];
        let report = run(seed, &on(100, scripts));
        assert!(report.violations.is_empty(), "seed {seed}: {:#?}\n{}", report.violations, report.trace.join("\n"));
    }
}
