//! What the scaling policies make of the built-in traces, as `muster scale --simulate` tells it.

use serde_json::Value;

use crate::support::{muster, run};

/// The outcome of each policy, and the table.
fn simulate(trace: &str, more: &[&str]) -> Value {
    let output = run(muster().args(["scale", "--simulate", trace, "--json"]).args(more), 0);
    serde_json::from_slice(&output.stdout).unwrap()
}

fn of<'a>(report: &'a Value, policy: &str) -> &'a Value {
    report["policies"].as_array().unwrap().iter().find(|run| run["policy"] == policy).unwrap()
}

#[test]
fn a_burst_of_100_000_images_is_drained_in_time_without_an_empty_job() {
    let report = simulate("burst-100k", &["--interruptions", "0"]);
    let ours = of(&report, "drain-time");
    assert_eq!(
        (ours["done"].as_u64(), ours["empty"].as_u64(), ours["rejected"].as_u64()),
        (Some(100_000), Some(0), Some(0))
    );
    // The target is 900 s; a tenth more is as good.
    assert!(ours["drained"].as_u64().unwrap() <= 990 && ours["hours"].as_f64().unwrap() <= 2.5, "{ours}");
}

#[test]
fn a_burst_of_1_500_images_is_drained_by_one_worker_and_stalls_the_threshold_policy() {
    let report = simulate("burst-1500", &["--interruptions", "0"]);
    let (ours, threshold) = (of(&report, "drain-time"), of(&report, "threshold"));
    assert_eq!((ours["done"].as_u64(), ours["workers"].as_u64()), (Some(1_500), Some(1)));
    assert!(threshold["drained"].is_null() && threshold["rejected"].as_u64().unwrap() > 0, "{threshold}");
}

#[test]
fn a_day_of_a_service_around_the_clock_is_told_beside_the_policies() {
    let report = simulate("burst-100k", &["--interruptions", "0"]);
    let (ours, service) = (of(&report, "drain-time"), of(&report, "always-on"));
    let dollars = |run: &Value| run["dollars"].as_f64().unwrap();
    // One machine on demand for a day; 1.9 hours of Spot. The requests are the same.
    let settings = muster_config::Layers::defaults().settings().unwrap();
    let (cost, rate) = (&settings.cost, settings.scale.rate);
    let each = cost.reads_per_image * cost.s3_reads_thousand / 1e3
        + cost.writes_per_image * cost.s3_writes_thousand / 1e3
        + cost.messages_per_image * cost.sqs_million / 1e6;
    let requests = 100_000.0 * each;
    assert!((dollars(service) - (24.0 * cost.on_demand_hour + requests)).abs() < 0.01, "{}", dollars(service));
    let hours = ours["hours"].as_f64().unwrap();
    assert!((dollars(ours) - (hours * cost.spot_hour + requests)).abs() < 0.01, "{}", dollars(ours));
    let drained = service["drained"].as_f64().unwrap();
    assert!((drained - 100_000.0 / rate).abs() <= 1.0, "{rate} a second from the first second on: {drained}");
    let million = ours["dollars_per_million"].as_f64().unwrap();
    assert!((million - 10.0 * dollars(ours)).abs() < 1e-9, "{million}");
}

#[test]
fn a_million_images_cost_a_dollar_and_a_half_at_most() {
    for (trace, interruptions) in [("burst-1m", "0"), ("burst-1m", "0.05"), ("burst-100k", "0.05")] {
        let report = simulate(trace, &["--interruptions", interruptions]);
        let ours = of(&report, "drain-time");
        let million = ours["dollars_per_million"].as_f64().unwrap();
        println!("{trace}, {interruptions} interruptions an hour: {million:.2} dollars a million, {}", ours["bill"]);
        assert!(million <= 1.5, "{trace}: {million}");
        let parts: f64 = ours["bill"].as_object().unwrap().values().map(|dollars| dollars.as_f64().unwrap()).sum();
        assert!((parts - ours["dollars"].as_f64().unwrap()).abs() < 1e-9, "{ours}");
    }
}

#[test]
fn a_trace_may_be_a_file_and_what_is_none_is_told_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let (good, bad) = (folder.path().join("good.csv"), folder.path().join("bad.csv"));
    std::fs::write(&good, "second,images\n0,300\n120,300\n").unwrap();
    std::fs::write(&bad, "0,300\nsoon,300\n").unwrap();
    let plot = folder.path().join("plot.svg");
    let report = simulate(good.to_str().unwrap(), &["--plot", plot.to_str().unwrap()]);
    assert_eq!(of(&report, "drain-time")["done"], 600);
    let drawn = std::fs::read_to_string(plot).unwrap();
    assert!(drawn.starts_with("<svg") && drawn.contains("drain-time"), "{drawn}");
    for (trace, code, told) in [(bad.to_str().unwrap(), 2, "line 2"), ("none", 66, "burst-1500")] {
        let output = run(muster().args(["scale", "--simulate", trace]), code);
        assert!(String::from_utf8_lossy(&output.stderr).contains(told), "{output:?}");
    }
}
