//! Workers as processes of this machine: `make fleet-demo` runs this on 300 photos.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use mongodb::bson::Document;
use serde_json::Value;

use super::stack;
use crate::support::fleet::{Fleet, People};
use crate::support::{photos, run};

/// `muster scale`, with what it has told.
struct Scaler {
    child: Child,
    told: Arc<Mutex<Vec<Value>>>,
    since: Instant,
}

impl Scaler {
    fn start(fleet: &Fleet) -> Self {
        let mut command = fleet.muster();
        command.args(["scale", "--fleet", "local", "--json"]).stdout(Stdio::piped());
        command.env("MESSAGE_VISIBILITY_TIMEOUT", "15").env("REDIS_URL", "");
        // Small enough that two waves of photos want two workers each.
        for (key, value) in [
            ("SCALE__RATE", "0.1"),
            ("SCALE__RATE_FLOOR", "1.0"),
            ("SCALE__TARGET_SECONDS", "60"),
            ("SCALE__BOOT_SECONDS", "0"),
            ("SCALE__TICK_SECONDS", "1"),
            ("SCALE__PRIMARY", "2"),
        ] {
            command.env(format!("MUSTER_{key}"), value);
        }
        let mut child = command.spawn().unwrap();
        let (told, since) = (Arc::new(Mutex::new(Vec::new())), Instant::now());
        let (lines, heard) = (BufReader::new(child.stdout.take().unwrap()).lines(), Arc::clone(&told));
        std::thread::spawn(move || {
            for line in lines {
                let line: Value = serde_json::from_str(&line.unwrap()).unwrap();
                let event = event(&line);
                if !event.is_empty() {
                    println!("{:>6.1} s  {event}", since.elapsed().as_secs_f64());
                }
                heard.lock().unwrap().push(line);
            }
        });
        Self { child, told, since }
    }

    fn say(&self, text: &str) {
        println!("{:>6.1} s  {text}", self.since.elapsed().as_secs_f64());
    }

    fn told(&self) -> Vec<Value> {
        self.told.lock().unwrap().clone()
    }

    /// Processes that have started and not ended.
    fn workers(&self) -> Vec<(String, u64)> {
        let told = self.told();
        let name = |line: &Value| line["worker"].as_str().unwrap_or_default().to_owned();
        let ended: BTreeSet<_> = told.iter().filter(|line| line.get("summary").is_some()).map(name).collect();
        let started = told.iter().filter_map(|line| Some((name(line), line["started"].as_u64()?)));
        started.filter(|(name, _)| !ended.contains(name)).collect()
    }

    /// Waits until something holds.
    async fn until(&self, what: &str, mut holds: impl AsyncFnMut() -> bool) {
        let patience = Instant::now() + Duration::from_secs(300);
        while !holds().await {
            assert!(Instant::now() < patience, "{what} did not happen: {:#?}", self.told().last());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Asks for the end; what was told in all.
    fn end(mut self) -> Vec<Value> {
        let asked = std::process::Command::new("kill").arg(self.child.id().to_string()).status().unwrap();
        assert!(asked.success());
        assert!(self.child.wait().unwrap().success());
        self.told()
    }
}

impl Drop for Scaler {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A line of the timeline.
fn event(line: &Value) -> String {
    let service = line["service"].as_str().unwrap_or_default();
    if let Some(worker) = line["worker"].as_str() {
        return match (line["started"].as_u64(), line["code"].as_i64(), line["signal"].as_i64()) {
            (Some(pid), ..) => format!("{worker} started, process {pid}"),
            (_, Some(code), _) => format!("{worker} ended, code {code}, fetched {}", line["summary"]["fetched"]),
            (.., signal) => format!("{worker} ended by signal {}", signal.unwrap_or(0)),
        };
    }
    let look = &line["look"];
    match look["orders"].as_array().map_or(0, Vec::len) {
        0 => String::new(),
        _ => format!("{service}: {} wait, {} wanted", look["depth"]["visible"], look["want"]),
    }
}

/// What a run leaves, but for the groups' ids, which follow from their history.
async fn left(fleet: &Fleet) -> (Vec<Document>, Vec<Document>, People) {
    let images = fleet.documents("gallery_images", "images").await;
    let mut faces = fleet.documents("gallery_images", "faces").await;
    faces.iter_mut().for_each(|face| drop(face.remove("group")));
    (images, faces, fleet.people().await)
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_come_with_the_photos_and_leave_with_them_and_one_that_is_killed_changes_nothing() {
    let count = std::env::var("MUSTER_DEMO_PHOTOS").map_or(80, |count| count.parse().unwrap());
    let fleet = Fleet::new(&stack()).await;
    let mut keys = fleet.upload(&photos("gallery"), "trip/").await;
    // Beside the photos lie the texts that say whose they are.
    keys.retain(|key| key.ends_with(".jpg"));
    keys.truncate(count);
    assert_eq!(keys.len(), count);
    let scaler = Scaler::start(&fleet);
    scaler.until("the first look", async || !scaler.told().is_empty()).await;
    assert_eq!(scaler.workers(), []);

    let (first, second) = keys.split_at(count / 2);
    scaler.say(&format!("{} photos arrive", first.len()));
    fleet.send(first.iter().map(|key| fleet.event(key))).await;
    let detectors = || scaler.workers().into_iter().filter(|(name, _)| name.contains("detection")).collect::<Vec<_>>();
    scaler.until("two workers", async || detectors().len() == 2).await;
    // While it holds some.
    scaler.until("messages held", async || fleet.depth(&fleet.images).await.1 > 0).await;
    let (killed, pid) = detectors().remove(0);
    scaler.say(&format!("{killed} is killed"));
    assert!(std::process::Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap().success());
    let empty = async || {
        fleet.depth(&fleet.images).await == (0, 0)
            && fleet.depth(&fleet.galleries).await == (0, 0)
            && scaler.workers().is_empty()
    };
    scaler.until("the first wave is done", empty).await;
    let before = scaler.told().len();

    scaler.say(&format!("{} photos arrive", second.len()));
    fleet.send(second.iter().map(|key| fleet.event(key))).await;
    scaler.until("workers", async || !scaler.workers().is_empty()).await;
    scaler.until("the second wave is done", empty).await;
    scaler.say("nothing waits, no worker is left");
    let told = scaler.end();
    let started = |told: &[Value]| told.iter().filter(|line| line["started"].is_u64()).count();
    // The other may have done the work of the killed one before the next look: then nobody takes its place.
    assert!(started(&told[..before]) >= 2 && started(&told[before..]) >= 2, "{told:#?}");
    let signals: Vec<_> = told.iter().filter_map(|line| line["signal"].as_i64()).collect();
    assert_eq!(signals, [9], "one was killed, no other");
    assert_eq!(fleet.depth(&fleet.dead_letters).await, (0, 0));

    // One run without a disturbance, of all photos at once.
    let disturbed = left(&fleet).await;
    for database in ["gallery_images", "huemn"] {
        fleet.database(database).await.drop().await.unwrap();
    }
    fleet.send(keys.iter().map(|key| fleet.event(key))).await;
    fleet.work("detect");
    fleet.work("group");
    assert_eq!(disturbed, left(&fleet).await);
    println!("{} photos, {} faces, as in a run without a disturbance", disturbed.0.len(), disturbed.1.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn two_do_not_scale_one_queue_on_one_machine() {
    let fleet = Fleet::new(&stack()).await;
    let scaler = Scaler::start(&fleet);
    scaler.until("the first look", async || !scaler.told().is_empty()).await;
    let output = run(fleet.muster().args(["scale", "--fleet", "local", "--once"]), 81);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(told.contains("another muster scale starts workers for this queue"), "{told}");
    scaler.end();
}
