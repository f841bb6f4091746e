//! The whole pipeline in a world where nothing goes wrong.

use std::time::Duration;

use muster_actors::Exit;
use muster_actors::flow::progress::Stage;
use muster_actors::sim::{ImageKind, Scenario, run};

#[test]
fn every_image_of_a_calm_world_ends_in_its_state_and_the_run_drains_itself() {
    let mut scenario = Scenario::calm(100);
    scenario.images[3] = ImageKind::Faces(0);
    scenario.images[5] = ImageKind::Corrupt;
    scenario.images[7] = ImageKind::Missing;
    scenario.images[11] = ImageKind::BadMessage;
    let report = run(1, &scenario);
    assert!(report.violations.is_empty(), "{:#?}\n{}", report.violations, report.trace.join("\n"));
    let (exit, summary) = report.first();
    assert_eq!(*exit, Exit::Drained);
    let counts = summary.counts;
    assert_eq!((summary.fetched, counts.indexed, counts.no_faces, counts.rejected), (100, 96, 1, 3));
    assert_eq!(counts.released + counts.lease_lost + counts.low_quality, 0);
    assert_eq!((summary.faces, summary.rejections.len(), summary.reconciliations), (192, 3, 2));
    // Every face written is in the distributions, and every stage that worked knows how long its work took.
    let quality = &summary.quality;
    assert_eq!([&quality.sharpness, &quality.level, &quality.yaw_abs].map(|part| part.count()), [192; 3]);
    let timed = |stage| summary.stages[&stage].seconds.count();
    assert_eq!((timed(Stage::Downloader), timed(Stage::Decoder)), (98, 98), "99 asked for, one missing");
    assert_eq!(timed(Stage::Device), summary.batch_sizes.values().sum::<u64>());
    assert!(timed(Stage::Writer) > 0 && timed(Stage::LeaseManager) > 0);
    assert_eq!(summary.reasons.values().sum::<u64>(), 3, "{:?}", summary.reasons);
    assert_eq!(*summary.batch_sizes.keys().max().unwrap_or(&0), 8, "{:?}", summary.batch_sizes);
}

#[test]
fn results_are_written_when_nothing_else_is_on_its_way_however_young_they_are() {
    let mut scenario = Scenario::calm(10);
    scenario.tune = |settings| settings.writer.age = Duration::from_secs(30 * 86_400);
    let report = run(1, &scenario);
    assert!(report.violations.is_empty(), "{:#?}", report.violations);
    let (exit, summary) = report.first();
    assert_eq!((exit, summary.counts.indexed), (&Exit::Drained, 10));
}
