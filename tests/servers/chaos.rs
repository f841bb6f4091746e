//! Storms over real servers and real processes. `MUSTER_SEED` replays a schedule.

use crate::support;

use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use serde_json::Value;
use support::fleet::{Fleet, Worker};

/// `muster chaos` or `soak` with the servers and photos of these tests.
fn muster(arguments: &[&str], report: &Path) -> Output {
    let venv = std::env::var_os("MUSTER_VENV").map_or_else(|| support::repository().join(".cache/venv"), Into::into);
    let servers = format!("{} {}", venv.join("bin/python").display(), "tests/stack/stack.py");
    let mut command: Command = support::muster();
    command.current_dir(support::repository()).args(arguments).args(["--servers", &servers]);
    command.arg("--photos").arg(support::photos("gallery")).arg("--report").arg(report).output().unwrap()
}

#[test]
fn a_storm_of_kills_and_faults_loses_nothing_doubles_nothing_and_convicts_only_the_bad() {
    let seed = std::env::var("MUSTER_SEED").unwrap_or_else(|_| "11".into());
    let report = tempfile::tempdir().unwrap();
    let storm = ["chaos", "--kills", "15", "--messages", "500", "--bad", "8", "--lease", "15", "--minutes", "0.8"];
    let output = muster(&[&storm[..], &["--seed", &seed]].concat(), report.path());
    let said = String::from_utf8_lossy(&output.stdout);
    let timeline = || std::fs::read_to_string(report.path().join("timeline.txt")).unwrap_or_default();
    assert_eq!(output.status.code(), Some(0), "{}\n{said}\n{}", String::from_utf8_lossy(&output.stderr), timeline());
    let report: Value = serde_json::from_slice(&std::fs::read(report.path().join("report.json")).unwrap()).unwrap();
    let audit = &report["audit"];
    assert_eq!((&audit["sent"], &audit["stored"], &audit["dead"]), (&500.into(), &492.into(), &8.into()));
    assert_eq!(audit["fingerprint"], report["undisturbed"]["fingerprint"]);
    assert!(report["kills"].as_u64() >= Some(10), "{}", report["kills"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_worker_held_that_was_killed_can_be_received_again_when_its_lease_ends() {
    const LEASE: u64 = 10;
    let stack = std::sync::Arc::new(support::stack::Stack::start(&["mongo", "redis", "aws"]));
    let fleet = Fleet::new(&stack).await;
    let keys = fleet.upload(&support::photos("demo"), "demo/").await;
    fleet.send((0..5).flat_map(|_| keys.iter().map(|key| fleet.event(key)))).await;
    let sent = 5 * keys.len() as u64;
    let mut worker = fleet.worker("detect");
    worker.env("MUSTER_FLEET__MODE", "ecs").env("REDIS_URL", "").env("MESSAGE_VISIBILITY_TIMEOUT", LEASE.to_string());
    let worker = Worker::start(&mut worker);
    let patience = Instant::now() + Duration::from_secs(60);
    // In the middle of its work: some of it done, some of it in hand.
    let held = loop {
        let (visible, held) = fleet.depth(&fleet.images).await;
        if held > 0 && visible + held < sent {
            break held;
        }
        assert!(Instant::now() < patience, "{visible} messages wait and {held} are held");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    // Dropped, it is killed as kill -9 does.
    drop(worker);
    let killed = Instant::now();
    while fleet.depth(&fleet.images).await.1 > 0 {
        let limit = Duration::from_secs(LEASE + 8);
        assert!(killed.elapsed() < limit, "{held} messages were held; some still are after {:?}", killed.elapsed());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    println!("{held} messages could be received again {:.1} s after the kill", killed.elapsed().as_secs_f64());
}

#[test]
fn a_photo_that_kills_the_decoder_kills_one_run_of_index_and_is_rejected_by_the_next() {
    let (photos, library) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    support::link_some(&support::photos("gallery"), photos.path(), 40);
    let first = std::fs::read_dir(photos.path()).unwrap().next().unwrap().unwrap().path();
    let bad = [std::fs::read(first).unwrap(), muster_chaos::stand_in::ABORT.to_vec()].concat();
    std::fs::write(photos.path().join("bad.jpg"), bad).unwrap();
    let index = || {
        let mut index = support::muster();
        index.arg("index").arg(photos.path()).arg("--library").arg(library.path());
        index.args(["--model", "stand-in", "--json"]).output().unwrap()
    };
    assert_eq!(index().status.code(), None, "the decoder's death is the run's");
    let second = index();
    assert_eq!(second.status.code(), Some(0), "{}", String::from_utf8_lossy(&second.stderr));
    let summary: Value = serde_json::from_slice(&second.stdout).unwrap();
    assert_eq!(support::count(&summary, "rejected"), 1, "{summary:#}");
    assert!(summary.to_string().contains("CRASHED"), "{summary:#}");
    // Nothing is decoded apart that need not be, and the bad one is not tried again.
    let third: Value = serde_json::from_slice(&index().stdout).unwrap();
    assert_eq!(
        support::count(&third, "indexed") + support::count(&third, "no_faces") + support::count(&third, "rejected"),
        0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_whose_log_has_no_room_ends_as_its_work_did() {
    let stack = std::sync::Arc::new(support::stack::Stack::start(&["mongo", "redis", "aws"]));
    let fleet = Fleet::new(&stack).await;
    let full = || std::fs::File::options().write(true).open("/dev/full").unwrap();
    let keys = fleet.upload(&support::photos("demo").join("P002"), "demo/").await;
    fleet.send(keys.iter().map(|key| fleet.event(key))).await;
    let mut worker = fleet.worker("detect");
    let status = worker.env("MUSTER_QUEUES__LEAVE_AFTER_EMPTY", "2").stdout(full()).stderr(full()).status().unwrap();
    assert_eq!(status.code(), Some(0), "{status}");
    assert_eq!(fleet.depth(&fleet.images).await, (0, 0));
}
