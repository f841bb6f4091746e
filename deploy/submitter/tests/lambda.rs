//! The function as Lambda starts it: a process that asks the Runtime API for work, against SQS, S3 and AWS Batch's rules.

#[allow(dead_code)] // What the tests of muster use of them.
#[path = "../../../tests/support/batch.rs"]
mod batch;
mod runtime;
#[allow(dead_code)]
#[path = "../../../tests/support/stack.rs"]
mod stack;

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use batch::{Batch, QUEUES};
use muster_aws::clients::{Clients, config};
use muster_config::Layers;
use runtime::{Answer, Runtime};
use serde_json::{Value, json};
use stack::Stack;

/// The folder of the repository.
fn repository() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// Queues, a bucket and a Batch.
struct World {
    stack: Stack,
    clients: Clients,
    batch: Batch,
    queues: [String; 2],
}

impl World {
    async fn new() -> Self {
        let stack = Stack::start(&["aws"]);
        let mut settings = Layers::defaults().settings().unwrap();
        settings.fleet.endpoint = stack.url("aws").to_owned();
        let keys = SharedCredentialsProvider::new(Credentials::new("test", "test", None, None, "test"));
        let shared = config(&settings.fleet).await.to_builder().credentials_provider(keys).build();
        let clients = Clients::from_config(shared, &settings);
        let queue =
            async |name: &str| clients.sqs.create_queue().queue_name(name).send().await.unwrap().queue_url.unwrap();
        let queues = [queue("images").await, queue("galleries").await];
        clients.s3.create_bucket().bucket("groups").send().await.unwrap();
        Self { stack, clients, batch: Batch::start().await, queues }
    }

    /// The function, as Lambda starts it: each has a Runtime API of its own, so that none is asked in another's place.
    async fn function(&self, changes: &[(&str, &str)]) -> Function {
        let program = std::env::var("MUSTER_BOOTSTRAP").unwrap_or_else(|_| env!("CARGO_BIN_EXE_bootstrap").to_owned());
        let runtime = Runtime::start().await;
        let mut command = Command::new(program);
        command.env_clear().stdout(Stdio::null());
        for (name, value) in [
            ("AWS_LAMBDA_RUNTIME_API", runtime.address()),
            ("AWS_LAMBDA_FUNCTION_NAME", "submitter"),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256"),
            ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
            ("AWS_DEFAULT_REGION", "us-east-1"),
            ("AWS_ENDPOINT_URL", self.stack.url("aws")),
            ("AWS_ENDPOINT_URL_BATCH", self.batch.url()),
            ("QUEUE_URL", &self.queues[0]),
            ("GROUP_FACE_QUEUE_URL", &self.queues[1]),
            ("FACE_GROUP_BUCKET_NAME", "groups"),
            ("MUSTER_BATCH__PRIMARY_QUEUE", QUEUES[0]),
            ("MUSTER_BATCH__SECONDARY_QUEUE", QUEUES[1]),
            ("MUSTER_BATCH__FALLBACK_QUEUE", QUEUES[2]),
            ("MUSTER_BATCH__DETECTION", "detection:1"),
            ("MUSTER_BATCH__GROUPING", "detection:1"),
            ("MUSTER_SCALE__RATE", "0.01"),
        ]
        .iter()
        .chain(changes)
        {
            command.env(name, value);
        }
        Function { process: command.spawn().unwrap(), runtime }
    }

    async fn fill(&self) {
        for n in 0..40 {
            let body = json!({ "bucket": "b", "key": format!("{n}.jpg"), "gallery_id": "g" }).to_string();
            self.clients.sqs.send_message().queue_url(&self.queues[0]).message_body(body).send().await.unwrap();
        }
    }
}

/// A process that does not outlive its test.
struct Function {
    process: Child,
    runtime: Runtime,
}

impl Function {
    async fn invoke(&self) -> Answer {
        self.runtime.invoke().await
    }
}

impl Drop for Function {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn orders(answer: &Answer) -> Vec<u64> {
    let Answer::Response(looks) = answer else { panic!("{answer:?}") };
    let orders = looks[0]["look"]["orders"].as_array().unwrap();
    orders.iter().map(|order| order["workers"].as_u64().unwrap()).collect()
}

fn why(answer: &Answer) -> &str {
    let Answer::Error(error) = answer else { panic!("{answer:?}") };
    error["errorMessage"].as_str().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invocation_submits_what_is_wanted_once_and_tells_why_it_fails() {
    let world = World::new().await;
    world.fill().await;
    let function = world.function(&[]).await;
    // Forty images at 0.01 a second and worker: six workers, four in the first queue.
    assert_eq!(orders(&function.invoke().await), [4, 2]);
    assert_eq!(QUEUES.map(|queue| world.batch.jobs().active(queue)), [4, 2, 0]);
    assert_eq!(orders(&function.invoke().await), [0u64; 0]);
    assert_eq!(world.batch.jobs().all().len(), 2, "nothing twice");

    // Somebody else is at it: no fault. A value that nobody can read is one, and the other queue is looked at all the same.
    let put = async |text: String| {
        let key = "fleet/muster-detection.batch.images.json";
        let body = text.into_bytes().into();
        world.clients.s3.put_object().bucket("groups").key(key).body(body).send().await.unwrap();
    };
    let memory = |holder: Value| json!({ "revision": 9, "serial": 9, "holder": holder, "asked": [], "waiting": {}, "hungry": null, "given": 0, "rate": null });
    let soon = std::time::UNIX_EPOCH.elapsed().unwrap().as_millis() as u64 + 30_000;
    put(memory(json!({ "id": "somebody", "until": soon })).to_string()).await;
    let Answer::Response(looks) = function.invoke().await else { panic!("busy is no fault") };
    assert!(looks[0]["busy"].as_str().unwrap().contains("somebody submits now"), "{looks}");
    put("rubbish".to_owned()).await;
    let answer = function.invoke().await;
    assert!(why(&answer).contains("detection: the submitters' shared value cannot be read"), "{answer:?}");

    let function = world.function(&[("MUSTER_BATCH__DETECTION", "")]).await;
    let answer = function.invoke().await;
    assert!(why(&answer).contains("batch.detection is not set: set MUSTER_BATCH__DETECTION"), "{answer:?}");
}

/// From the start of the process to its first question, and to its first answer. `make lambda-cold-start` times the package.
#[tokio::test(flavor = "multi_thread")]
async fn a_cold_start_is_told() {
    let world = World::new().await;
    let packed = std::env::var_os("MUSTER_BOOTSTRAP").is_some();
    let mut times = Vec::new();
    for _ in 0..if packed { 10 } else { 1 } {
        let begun = Instant::now();
        let function = world.function(&[]).await;
        function.runtime.asked().await;
        let asked = begun.elapsed();
        assert!(matches!(function.invoke().await, Answer::Response(_)));
        times.push((asked, begun.elapsed()));
    }
    times.sort();
    let (asked, answered): (Vec<Duration>, Vec<Duration>) = times.iter().copied().unzip();
    let told = |what: &str, mut all: Vec<Duration>| {
        all.sort();
        let at = |place: usize| all[place].as_secs_f64() * 1e3;
        println!("{what}: median {:.0} ms, least {:.0}, most {:.0}", at(all.len() / 2), at(0), at(all.len() - 1));
    };
    told("started", asked);
    told("first answer", answered);
}

/// The build that the tests have, without its symbols, is larger than the package that is deployed (`make lambda`).
#[test]
fn the_package_is_small_and_runs_on_lambdas_c_library() {
    let folder = std::env::temp_dir().join(format!("muster-lambda-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let (binary, package) = (folder.join("bootstrap"), folder.join("submitter.zip"));
    let stripped = Command::new("strip").arg("-o").arg(&binary).arg(env!("CARGO_BIN_EXE_bootstrap")).status().unwrap();
    assert!(stripped.success());
    let script = repository().join("deploy/submitter/package.py");
    let packed = Command::new("python3").arg(script).args([&binary, &package]).output().unwrap();
    let size = std::fs::metadata(&package).map_or(0, |package| package.len());
    std::fs::remove_dir_all(&folder).unwrap();
    println!("{}", String::from_utf8_lossy(&packed.stdout));
    assert!(packed.status.success(), "{}", String::from_utf8_lossy(&packed.stderr));
    assert!((1..15_000_000).contains(&size), "{size}");
}
