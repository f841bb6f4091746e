//! A fleet in miniature: queues, buckets and databases of its own on the shared servers, and workers as processes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_sqs::types::{QueueAttributeName, SendMessageBatchRequestEntry};
use futures_util::TryStreamExt;
use mongodb::Database;
use mongodb::bson::{Bson, Document, doc};
use muster_aws::clients::Clients;
use muster_config::Layers;
use serde_json::{Value, json};

use super::muster;
use super::stack::Stack;

/// One fleet.
pub struct Fleet {
    pub stack: Arc<Stack>,
    pub sqs: aws_sdk_sqs::Client,
    pub s3: aws_sdk_s3::Client,
    pub images: String,
    pub galleries: String,
    pub dead_letters: String,
    pub photos: String,
    pub groups: String,
    name: String,
}

/// The faces of a partition: groups of (photo, box), ungrouped faces as groups of one.
pub type People = BTreeSet<BTreeSet<(String, [i64; 4])>>;

static NEXT: AtomicUsize = AtomicUsize::new(0);

/// Clients of the services at `url`.
pub async fn clients(url: &str) -> Clients {
    let mut settings = Layers::defaults().settings().unwrap();
    settings.fleet.endpoint = url.to_owned();
    let keys = Credentials::new("test", "test", None, None, "test");
    let config = Clients::new(&settings).await.config.to_builder();
    Clients::from_config(config.credentials_provider(SharedCredentialsProvider::new(keys)).build(), &settings)
}

impl Fleet {
    /// Makes queues and buckets; databases make themselves.
    pub async fn new(stack: &Arc<Stack>) -> Self {
        let Clients { sqs, s3, .. } = clients(stack.url("aws")).await;
        let name = format!("fleet{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let queue = async |of: &str| {
            sqs.create_queue().queue_name(format!("{name}-{of}")).send().await.unwrap().queue_url.unwrap()
        };
        let (images, galleries, dead_letters) = (queue("images").await, queue("galleries").await, queue("dead").await);
        for bucket in ["photos", "groups"] {
            s3.create_bucket().bucket(format!("{name}-{bucket}")).send().await.unwrap();
        }
        let (photos, groups) = (format!("{name}-photos"), format!("{name}-groups"));
        Self { stack: Arc::clone(stack), sqs, s3, images, galleries, dead_letters, photos, groups, name }
    }

    /// Uploads every photo below `folder` under `prefix`; the keys, in order.
    pub async fn upload(&self, folder: &Path, prefix: &str) -> Vec<String> {
        let mut keys = Vec::new();
        for entry in walkdir::WalkDir::new(folder).sort_by_file_name() {
            let entry = entry.unwrap();
            if entry.file_type().is_file() {
                let key = format!("{prefix}{}", entry.path().strip_prefix(folder).unwrap().display());
                self.put(&key, std::fs::read(entry.path()).unwrap()).await;
                keys.push(key);
            }
        }
        keys
    }

    pub async fn put(&self, key: &str, bytes: Vec<u8>) {
        self.s3.put_object().bucket(&self.photos).key(key).body(bytes.into()).send().await.unwrap();
    }

    /// Sends bodies to the queue of images.
    pub async fn send(&self, bodies: impl IntoIterator<Item = String>) {
        self.send_to(&self.images, bodies).await;
    }

    /// Sends bodies to a queue.
    pub async fn send_to(&self, queue: &str, bodies: impl IntoIterator<Item = String>) {
        let bodies: Vec<String> = bodies.into_iter().collect();
        for ten in bodies.chunks(10) {
            let entries = ten.iter().enumerate().map(|(n, body)| {
                SendMessageBatchRequestEntry::builder().id(n.to_string()).message_body(body).build().unwrap()
            });
            let sent = self.sqs.send_message_batch().queue_url(queue).set_entries(Some(entries.collect()));
            assert!(sent.send().await.unwrap().failed.is_empty());
        }
    }

    /// What S3 says when an object was created.
    pub fn event(&self, key: &str) -> String {
        let key: String = url_encoded(key);
        json!({ "Records": [{
            "eventVersion": "2.1", "eventSource": "aws:s3", "eventName": "ObjectCreated:Put",
            "s3": { "bucket": { "name": self.photos }, "object": { "key": key } },
        }] })
        .to_string()
    }

    pub fn uri(&self, database: &str) -> String {
        self.stack.url("mongo").replace("/?", &format!("/{}_{database}?", self.name))
    }

    pub async fn database(&self, database: &str) -> Database {
        mongodb::Client::with_uri_str(self.uri(database)).await.unwrap().database(&format!("{}_{database}", self.name))
    }

    /// A worker that leaves when its queue stays empty.
    pub fn worker(&self, command: &str) -> Command {
        let mut worker = self.muster();
        worker.args([command, "--json"]).stdout(Stdio::piped());
        worker
    }

    /// muster, set up by the names that the Python service had for its settings.
    pub fn muster(&self) -> Command {
        let mut muster = muster();
        muster
            .env("MUSTER_FLEET__MODE", "batch")
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", "test")
            .env("AWS_DEFAULT_REGION", "us-east-1")
            .env("AWS_ENDPOINT_URL", self.stack.url("aws"))
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("QUEUE_URL", &self.images)
            .env("GROUP_FACE_QUEUE_URL", &self.galleries)
            .env("DEAD_LETTER_QUEUE_URL", &self.dead_letters)
            .env("BUCKET_NAME", &self.photos)
            .env("FACE_GROUP_BUCKET_NAME", &self.groups)
            .env("GALLERY_IMAGES_MONGO_URI", self.uri("gallery_images"))
            .env("HUEMN_MONGO_URI", self.uri("huemn"))
            .env("REDIS_URL", self.stack.url("redis"))
            // A machine that is busy with tests is slow to answer.
            .env("MUSTER_REDIS__TIMEOUT_MILLISECONDS", "5000")
            .env("MUSTER_QUEUES__WAIT_SECONDS", "1")
            .env("MUSTER_QUEUES__GROUP_AFTER_SECONDS", "2");
        muster
    }

    /// Runs a worker to its end; its summary.
    pub fn work(&self, command: &str) -> Value {
        ended(Worker::start(&mut self.worker(command)), 0)
    }

    /// Makes one more queue; its URL.
    pub async fn queue(&self, of: &str) -> String {
        self.sqs.create_queue().queue_name(format!("{}-{of}", self.name)).send().await.unwrap().queue_url.unwrap()
    }

    /// Every document of a collection, ascending by id, without the fields that say when, how long, by whom, and in which pack.
    pub async fn documents(&self, database: &str, collection: &str) -> Vec<Document> {
        let all = self.database(database).await.collection::<Document>(collection);
        let found = all.find(doc! {}).sort(doc! { "_id": 1 }).await.unwrap();
        let mut documents: Vec<Document> = found.try_collect().await.unwrap();
        for document in &mut documents {
            for field in ["indexed_at", "changed_at", "changed", "timings", "queue", "worker", "crop", "result"] {
                document.remove(field);
            }
        }
        documents
    }

    /// The groups in MongoDB.
    pub async fn people(&self) -> People {
        let key = |document: &Document| document.get("_id").unwrap().to_string();
        let images: BTreeMap<String, String> = self
            .documents("gallery_images", "images")
            .await
            .iter()
            .map(|image| (key(image), image.get_str("key").unwrap().to_owned()))
            .collect();
        let mut people: BTreeMap<String, BTreeSet<(String, [i64; 4])>> = BTreeMap::new();
        for face in self.documents("gallery_images", "faces").await {
            let bbox = face.get_document("box").unwrap();
            let part = |name: &str| bbox.get_f64(name).unwrap().round() as i64;
            let place =
                (images[&face.get("image").unwrap().to_string()].clone(), ["x", "y", "width", "height"].map(part));
            let group = face.get("group").map_or_else(|| format!("alone {}", key(&face)), Bson::to_string);
            people.entry(group).or_default().insert(place);
        }
        people.into_values().collect()
    }

    /// The index of a gallery's groups in S3, and the groups that it names.
    pub async fn published_groups(&self, gallery: &str) -> (Value, Vec<Value>) {
        let read =
            async |key: &str| -> Value { serde_json::from_slice(&self.object(&self.groups, key).await).unwrap() };
        let index = read(&format!("galleries/{gallery}/index.json")).await;
        if let Some(groups) = index["groups"].as_array() {
            return (index.clone(), groups.clone());
        }
        let mut groups = Vec::new();
        for shard in index["shards"].as_array().unwrap() {
            let object = read(shard["object"].as_str().unwrap()).await;
            assert_eq!((&object["gallery"], &object["prefix"]), (&index["gallery"], &shard["prefix"]));
            let of = object["groups"].as_array().unwrap();
            let faces: usize = of.iter().map(|group| group["faces"].as_array().unwrap().len()).sum();
            assert_eq!(
                (shard["groups"].as_u64(), shard["faces"].as_u64()),
                (Some(of.len() as u64), Some(faces as u64))
            );
            groups.extend(of.iter().cloned());
        }
        (index, groups)
    }

    /// The groups of two faces and more in S3.
    pub async fn published(&self, gallery: &str) -> People {
        let (index, groups) = self.published_groups(gallery).await;
        assert_eq!(index["group_count"].as_u64(), Some(groups.len() as u64));
        let face = |face: &Value| {
            let part = |name: &str| face["box"][name].as_f64().unwrap().round() as i64;
            (face["key"].as_str().unwrap().to_owned(), ["x", "y", "width", "height"].map(part))
        };
        groups.iter().map(|group| group["faces"].as_array().unwrap().iter().map(face).collect()).collect()
    }

    pub async fn object(&self, bucket: &str, key: &str) -> Vec<u8> {
        let object = self.s3.get_object().bucket(bucket).key(key).send().await.unwrap();
        object.body.collect().await.unwrap().to_vec()
    }

    /// Messages in a queue that are visible, and that are not.
    pub async fn depth(&self, queue: &str) -> (u64, u64) {
        use QueueAttributeName::{
            ApproximateNumberOfMessages as Visible, ApproximateNumberOfMessagesNotVisible as Held,
        };
        let asked = self.sqs.get_queue_attributes().queue_url(queue).attribute_names(Visible).attribute_names(Held);
        let all = asked.send().await.unwrap().attributes.unwrap();
        let count = |name| all.get(&name).map_or(0, |count| count.parse().unwrap());
        (count(Visible), count(Held))
    }
}

/// A worker that runs; it does not outlive its test.
pub struct Worker(Option<Child>);

impl Worker {
    pub fn start(command: &mut Command) -> Self {
        Self(Some(command.spawn().unwrap()))
    }

    pub fn id(&self) -> u32 {
        self.0.as_ref().unwrap().id()
    }

    /// Waits for the end; what it wrote to standard error, which must be piped.
    pub fn said(mut self, code: i32) -> String {
        let output = self.0.take().unwrap().wait_with_output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{text}");
        text
    }

    pub fn is_running(&mut self) -> bool {
        self.0.as_mut().unwrap().try_wait().unwrap().is_none()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Waits for a worker; its summary.
pub fn ended(mut worker: Worker, code: i32) -> Value {
    let output = worker.0.take().unwrap().wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(code), "{text}");
    serde_json::from_str(&text).unwrap_or_else(|_| panic!("no summary: {text:?}"))
}

/// As S3 writes keys in events.
fn url_encoded(key: &str) -> String {
    let byte = |byte: u8| match byte {
        b' ' => "+".to_owned(),
        byte if byte.is_ascii_alphanumeric() || b"-._~/*".contains(&byte) => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    key.bytes().map(byte).collect()
}
