//! The web tier and its workers as processes of their own, with queues and buckets between them.

mod callers;
mod people;
mod replies;
mod traces;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use mongodb::bson::{Bson, Document};
use tokio::runtime::Runtime;

use crate::service::Service;
use crate::support::fleet::{Fleet, Worker};
use crate::support::photos;
use crate::support::stack::Stack;

/// Seconds that a worker's requests stay invisible after its death.
const LEASE: &str = "4";

fn stack() -> Arc<Stack> {
    static STACK: OnceLock<Arc<Stack>> = OnceLock::new();
    Arc::clone(STACK.get_or_init(|| Arc::new(Stack::start(&["mongo", "redis", "aws"]))))
}

/// A fleet with what recognition needs.
struct Split {
    runtime: Runtime,
    fleet: Fleet,
    requests: String,
    responses: String,
    input: String,
    output: String,
}

impl Split {
    fn new(stack: &Arc<Stack>) -> Self {
        let runtime = Runtime::new().unwrap();
        let (fleet, requests, responses) = runtime.block_on(async {
            let fleet = Fleet::new(stack).await;
            let (requests, responses) = (fleet.queue("requests").await, fleet.queue("responses").await);
            (fleet, requests, responses)
        });
        let (input, output) = (format!("{}-in", fleet.photos), format!("{}-out", fleet.photos));
        for bucket in [&input, &output] {
            runtime.block_on(fleet.s3.create_bucket().bucket(bucket).send()).unwrap();
        }
        Self { runtime, fleet, requests, responses, input, output }
    }

    fn muster(&self) -> Command {
        let mut muster = self.fleet.muster();
        muster
            .env("REQUEST_QUEUE_URL", &self.requests)
            .env("RESPONSE_QUEUE_URL", &self.responses)
            .env("INPUT_BUCKET_NAME", &self.input)
            .env("OUTPUT_BUCKET_NAME", &self.output)
            .env("MUSTER_QUEUES__REQUEST_VISIBILITY_SECONDS", LEASE)
            .env("MUSTER_FLEET__MODE", "ecs");
        muster
    }

    fn web(&self, settings: &[(&str, &str)]) -> Service {
        let mut web = self.muster();
        web.args(["serve", "--listen", "127.0.0.1:0"]).env("MUSTER_SERVE__GALLERY", "demo");
        web.envs(settings.iter().copied());
        Service::spawn(web)
    }

    fn worker(&self) -> Worker {
        Worker::start(&mut self.responding())
    }

    fn responding(&self) -> Command {
        let mut worker = self.muster();
        worker.args(["respond", "--json"]).env("MUSTER_MODELS__LANES", "1").stdout(Stdio::null());
        worker
    }

    /// Objects that lie in a bucket.
    fn objects(&self, bucket: &str) -> Vec<String> {
        let listed = self.runtime.block_on(self.fleet.s3.list_objects_v2().bucket(bucket).send()).unwrap();
        listed.contents().iter().filter_map(|object| object.key.clone()).collect()
    }

    /// Messages in a queue that are visible, and that are not.
    fn depth(&self, queue: &str) -> (u64, u64) {
        self.runtime.block_on(self.fleet.depth(queue))
    }

    /// Waits until nothing of any caller is left anywhere.
    fn clean(&self) {
        becomes(&(vec![], vec![], (0, 0), (0, 0)), || {
            let (input, output) = (self.objects(&self.input), self.objects(&self.output));
            (input, output, self.depth(&self.requests), self.depth(&self.responses))
        });
    }
}

/// Waits for something to be so.
fn becomes<T: PartialEq + std::fmt::Debug>(expected: &T, mut look: impl FnMut() -> T) {
    let end = Instant::now() + Duration::from_secs(300);
    loop {
        let seen = look();
        if seen == *expected {
            return;
        }
        assert!(Instant::now() < end, "{seen:?} does not become {expected:?}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn hex(id: &Bson) -> String {
    let Bson::Binary(binary) = id else { panic!("{id} is no id") };
    binary.bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The demo's portraits, with the ids of the faces in them that are in a group: found by the fleet itself.
async fn gallery(fleet: &Fleet) -> Vec<(PathBuf, BTreeSet<String>)> {
    let demo = photos("demo");
    let keys = fleet.upload(&demo, "demo/").await;
    fleet.send(keys.iter().map(|key| fleet.event(key))).await;
    fleet.work("detect");
    fleet.work("group");
    let images: BTreeMap<String, String> = (fleet.documents("gallery_images", "images").await.iter())
        .map(|image| (hex(image.get("_id").unwrap()), image.get_str("key").unwrap().to_owned()))
        .collect();
    let mut faces = BTreeMap::<String, BTreeSet<String>>::new();
    let grouped = |face: &&Document| face.get("group").is_some_and(|group| *group != Bson::Null);
    for face in fleet.documents("gallery_images", "faces").await.iter().filter(grouped) {
        let key = images[&hex(face.get("image").unwrap())].clone();
        faces.entry(key).or_default().insert(hex(face.get("_id").unwrap()));
    }
    let portraits = faces.into_iter().filter(|(key, faces)| faces.len() == 1 && !key.contains("sheet"));
    portraits.map(|(key, faces)| (demo.join(key.strip_prefix("demo/").unwrap()), faces)).collect()
}
