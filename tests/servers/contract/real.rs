//! The suites over real servers: MongoDB, Redis, SQS and S3.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use mongodb::bson::{DateTime, Document, doc};
use muster_actors::domain::image::Locator;
use muster_actors::domain::version::ObjectVersion;
use muster_actors::errors::Class;
use muster_actors::ports::faces::{Commit, Faces};
use muster_actors::ports::objects::{Object, Objects, ObjectsError};
use muster_actors::ports::queue::{Handle, Queue, SettleOutcome};
use muster_actors::ports::releases::{Receive, Releases};
use muster_aws::cas_object::S3CasObject;
use muster_aws::s3::{S3Bucket, S3Objects};
use muster_aws::sqs::{SqsQueue, Urls};
use muster_chaos::proxy::Proxy;
use muster_config::{Layers, Secret};
use muster_stores::mongo::{Connection, MongoFaces, MongoReleases, Uris};
use muster_stores::redis::{Cache, Vectors};

use super::embedded::hold;
use super::{cell, faces, objects, queue, releases};
use crate::support::fleet::clients;
use crate::support::stack::Stack;

/// All tests of this program share the servers and have databases and queues of their own.
pub(super) fn stack() -> &'static Stack {
    static STACK: OnceLock<Stack> = OnceLock::new();
    STACK.get_or_init(|| Stack::start(&["mongo", "mongo8", "redis", "aws"]))
}

fn number() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Documents as the service before muster left them: without a gallery, several of a kind, their ids of any type.
async fn leave_old_documents(connection: &Connection) {
    for name in ["images", "faces", "groups", "changes", "decisions", "galleries"] {
        let old = |n: i32| doc! { "gallery_id": "local", "image_key": format!("{n}.jpg"), "embedding": [0.5, 0.25] };
        let named = doc! { "_id": "a name", "gallery_id": "local", "group_id": 3, "state": "done" };
        let twins = doc! { "bucket": ".", "key": "a.jpg", "number": 1, "part": 0, "seq": 1 };
        let documents = [old(1), old(1), old(2), named, twins.clone(), twins];
        connection.faces.collection::<Document>(name).insert_many(documents).await.unwrap();
    }
}

/// For `application`, a database of its own on `server`, beside one of metadata where there is a name for that.
pub async fn store(server: &str, metadata: &str, application: &str) -> (Connection, MongoFaces) {
    let uri = |name: &str| match name {
        "" => Secret::default(),
        name => Secret::from(
            stack().url(server).replace("/?", &format!("/{name}_{}?appName={application}&", number())).as_str(),
        ),
    };
    let (gallery_images, huemn) = (uri("faces"), uri(metadata));
    let connection = Connection::open(&Uris { gallery_images: &gallery_images, huemn: &huemn }).await.unwrap();
    if application == OLD {
        leave_old_documents(&connection).await;
    }
    connection.ensure_indexes(None).await.unwrap();
    assert_eq!(connection.missing_indexes(None).await.unwrap(), Vec::<String>::new());
    let mut settings = Layers::defaults().settings().unwrap().redis;
    settings.url = Secret::from(stack().url("redis"));
    let vectors = Vectors::new(Cache::new(&settings).unwrap(), 60);
    let faces = MongoFaces::new(&connection, Some(Arc::new(vectors)));
    (connection, faces)
}

/// An application in whose databases another one was at work before.
const OLD: &str = "old";

/// Among documents of the service before.
async fn mongodb_with_old_documents() -> MongoFaces {
    store("mongo", "huemn", OLD).await.1
}

/// One command a collection.
async fn mongodb_6() -> MongoFaces {
    let (connection, faces) = store("mongo", "huemn", "suite").await;
    assert!(connection.wire < 25, "{}", connection.version);
    faces
}

/// One `bulkWrite` of the client.
async fn mongodb_8() -> MongoFaces {
    let (connection, faces) = store("mongo8", "", "suite").await;
    assert!(connection.wire >= 25, "{}", connection.version);
    faces
}

async fn notes_6() -> MongoReleases {
    mongodb_6().await.releases("images")
}

async fn notes_8() -> MongoReleases {
    mongodb_8().await.releases("images")
}

/// A queue with so many messages, and its dead letters.
async fn sqs(messages: usize, visibility: Duration) -> SqsQueue {
    let client = clients(stack().url("aws")).await.sqs;
    let make = async |name: String| client.create_queue().queue_name(name).send().await.unwrap().queue_url.unwrap();
    let number = number();
    let (url, dead_letters) = (make(format!("images-{number}")).await, make(format!("dead-{number}")).await);
    for n in 0..messages {
        let body = serde_json::json!({ "bucket": "b", "key": format!("{n}.jpg"), "gallery_id": "g" });
        client.send_message().queue_url(&url).message_body(body.to_string()).send().await.unwrap();
    }
    SqsQueue::new(client, Urls { queue: url, dead_letters }, visibility, Duration::from_secs(1))
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_groups_are_kept_as_long_as_the_settings_say() {
    let (connection, _) = store("mongo", "", "lineage").await;
    let lineage = connection.faces.collection::<Document>("lineage");
    lineage.insert_one(doc! { "gallery": "g", "generation": 1i64, "at": DateTime::now() }).await.unwrap();
    let day = Duration::from_secs(86_400);
    assert_eq!(connection.missing_indexes(Some(day)).await.unwrap(), ["lineage { \"at\": 1 }"]);
    for keep in [Some(day), None, Some(2 * day), Some(Duration::ZERO)] {
        assert_eq!(lineage.count_documents(doc! {}).await.unwrap(), 1, "{keep:?}");
        connection.ensure_indexes(keep).await.unwrap();
        assert_eq!(connection.missing_indexes(keep).await.unwrap(), Vec::<String>::new(), "{keep:?}");
    }
    // The server looks every two seconds here, every minute elsewhere.
    let patience = std::time::Instant::now() + Duration::from_secs(30);
    while lineage.count_documents(doc! {}).await.unwrap() > 0 {
        assert!(std::time::Instant::now() < patience, "it is kept");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_of_the_service_before_stay_and_are_told() {
    let (connection, store) = store("mongo", "", OLD).await;
    let told = connection.foreign().await.unwrap();
    assert_eq!(told, ["images", "faces", "groups", "changes", "decisions"].map(|name| (name, 6)), "{told:?}");
    store.commit(vec![faces::result("a.jpg", 1)]).await.unwrap();
    assert_eq!(connection.foreign().await.unwrap(), told, "they stay, and muster's are no others");
    // What a release before this one made is taken as it is.
    let images = connection.faces.collection::<Document>("images");
    images.delete_many(doc! { "gallery": { "$exists": false } }).await.unwrap();
    images.drop_index("gallery_1_bucket_1_key_1").await.unwrap();
    let options = mongodb::options::IndexOptions::builder().unique(true).build();
    let keys = doc! { "gallery": 1, "bucket": 1, "key": 1 };
    images.create_index(mongodb::IndexModel::builder().keys(keys).options(options).build()).await.unwrap();
    connection.ensure_indexes(None).await.unwrap();
    assert_eq!(connection.missing_indexes(None).await.unwrap(), Vec::<String>::new());
}

/// The records of an image in both databases, which the port does not show.
#[tokio::test(flavor = "multi_thread")]
async fn the_records_of_an_image_are_of_its_newest_version() {
    let (connection, store) = store("mongo", "huemn", "versions").await;
    let version = |modified_ms| ObjectVersion { modified_ms: Some(modified_ms), sequencer: None };
    let old = Commit { version: version(1_000), ..faces::result("a.jpg", 3) };
    let new = Commit { version: version(2_000), ..faces::result("a.jpg", 1) };
    assert!(store.superseded(std::slice::from_ref(&old)).await.unwrap().is_empty());
    for batch in [new, old.clone()] {
        let outcomes = store.commit(vec![batch]).await.unwrap();
        assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    }
    for database in [Some(&connection.faces), connection.metadata.as_ref()] {
        let images = database.unwrap().collection::<Document>("images");
        let image = images.find_one(doc! {}).await.unwrap().unwrap();
        let number = |key| image.get_i64(key).unwrap();
        assert_eq!((number("face_count"), number("modified_ms")), (1, 2_000), "{image}");
    }
    assert_eq!(store.superseded(std::slice::from_ref(&old)).await.unwrap(), [old.image.id].into());
    let face = connection.faces.collection::<Document>("faces").find_one(doc! {}).await.unwrap().unwrap();
    assert_eq!(face.get_i64("modified_ms").unwrap(), 2_000, "{face}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delete_whose_answer_was_lost_is_no_lost_lease() {
    let proxy = Proxy::start(stack().url("aws")).await.unwrap();
    let (client, direct) = (clients(&proxy.url()).await.sqs, clients(stack().url("aws")).await.sqs);
    let make = async |of: &str| {
        let name = format!("{of}-{}", number());
        direct.create_queue().queue_name(name).send().await.unwrap().queue_url.unwrap()
    };
    let urls = Urls { queue: make("images").await, dead_letters: make("dead").await };
    direct.send_message().queue_url(&urls.queue).message_body("{}").send().await.unwrap();
    let queue = SqsQueue::new(client, urls, Duration::from_secs(60), Duration::from_secs(1));
    let handles: Vec<Handle> = queue.receive(1).await.unwrap().deliveries.into_iter().map(|d| d.handle).collect();
    proxy.lose_answers();
    assert_eq!(queue.ack(&handles).await.unwrap(), [SettleOutcome::Failed(Class::Transient)]);
    proxy.set(true);
    assert_eq!(queue.ack(&handles).await.unwrap(), [SettleOutcome::Done]);
    assert_eq!(queue.ack(&handles).await.unwrap(), [SettleOutcome::LeaseLost], "settled once");
}

struct Bucket(S3Objects, aws_sdk_s3::Client, String);

#[async_trait]
impl Objects for Bucket {
    async fn get(&self, locator: &Locator, limit: u64) -> Result<Object, ObjectsError> {
        self.0.get(locator, limit).await
    }
    async fn head(&self, locator: &Locator, bytes: u64) -> Result<Object, ObjectsError> {
        self.0.head(locator, bytes).await
    }
}

impl objects::Fill for Bucket {
    fn bucket(&self) -> String {
        self.2.clone()
    }
    async fn put(&self, key: &str, bytes: &[u8]) {
        self.1.put_object().bucket(&self.2).key(key).body(bytes.to_vec().into()).send().await.unwrap();
    }
}

async fn s3() -> Bucket {
    let client = clients(stack().url("aws")).await.s3;
    let bucket = format!("photos-{}", number());
    client.create_bucket().bucket(&bucket).send().await.unwrap();
    Bucket(S3Objects::new(client.clone(), &bucket), client, bucket)
}

async fn object() -> S3CasObject {
    let Bucket(_, client, bucket) = s3().await;
    S3CasObject::new(S3Bucket::new(client, &bucket, ""), "fleet/state.json")
}

hold! { faces over mongodb_6:
    faces_come_back_as_they_went_in_ascending_by_id
    a_rerun_replaces_and_leaves_no_orphan
    a_rejection_that_says_nothing_of_the_picture_keeps_its_faces
    of_two_versions_the_newer_one_stays_whoever_is_last
    a_result_replaces_one_of_its_own_version_and_one_of_none
    one_result_that_cannot_be_stored_fails_alone
    a_partition_is_saved_only_onto_the_revision_it_was_made_from
    faces_that_are_added_meanwhile_wait_for_the_next_grouping
    many_writers_at_once_lose_nothing
}
hold! { faces over mongodb_with_old_documents:
    faces_come_back_as_they_went_in_ascending_by_id
    a_rerun_replaces_and_leaves_no_orphan
    a_partition_is_saved_only_onto_the_revision_it_was_made_from
    faces_that_are_added_meanwhile_wait_for_the_next_grouping
    many_writers_at_once_lose_nothing
}
hold! { faces over mongodb_8:
    faces_come_back_as_they_went_in_ascending_by_id
    a_rerun_replaces_and_leaves_no_orphan
    a_rejection_that_says_nothing_of_the_picture_keeps_its_faces
    of_two_versions_the_newer_one_stays_whoever_is_last
    a_result_replaces_one_of_its_own_version_and_one_of_none
    one_result_that_cannot_be_stored_fails_alone
    a_partition_is_saved_only_onto_the_revision_it_was_made_from
    faces_that_are_added_meanwhile_wait_for_the_next_grouping
    many_writers_at_once_lose_nothing
}
hold! { queue over sqs:
    each_message_comes_once_while_it_is_leased
    no_more_come_than_were_asked_for
    a_body_is_json_with_bucket_key_and_gallery
    a_released_message_comes_again_after_its_delay_and_is_counted
    a_lease_that_ends_gives_the_message_back_and_an_extended_one_does_not
    batches_answer_one_by_one_in_order
    a_rejected_message_never_comes_again
}
hold! { objects over s3:
    an_object_comes_whole_under_any_name
    another_version_has_another_etag
    an_object_over_the_limit_is_rejected
    an_object_that_is_not_there_is_rejected
    an_object_without_bytes_is_rejected
    the_head_of_an_object_comes_with_its_whole_size
}
hold! { cell over object:
    only_who_has_read_the_last_value_writes
    of_many_writers_at_once_one_wins
    who_wrote_what_is_there_has_written_it
}
hold! { releases over notes_6:
    earlier_receives_are_counted_each_once_and_for_their_own_message
    many_notes_of_many_workers_are_all_counted
}
hold! { releases over notes_8:
    earlier_receives_are_counted_each_once_and_for_their_own_message
    many_notes_of_many_workers_are_all_counted
}

#[tokio::test(flavor = "multi_thread")]
async fn notes_are_those_of_one_queue_and_the_server_deletes_them() {
    let (connection, faces) = store("mongo", "", "releases").await;
    let (images, galleries) = (faces.releases("images"), faces.releases("galleries"));
    let receive = |number| Receive { message: "m".into(), number };
    images.note(&[receive(1)]).await.unwrap();
    assert_eq!(galleries.count(&[receive(2)]).await.unwrap(), [0]);
    assert_eq!(images.count(&[receive(2)]).await.unwrap(), [1]);
    let notes = connection.faces.collection::<Document>("releases");
    let long_ago = DateTime::from_millis(DateTime::now().timestamp_millis() - 16 * 86_400_000);
    notes.update_one(doc! {}, doc! { "$set": { "at": long_ago } }).await.unwrap();
    // The server looks every two seconds here, every minute elsewhere.
    let patience = std::time::Instant::now() + Duration::from_secs(30);
    while notes.count_documents(doc! {}).await.unwrap() > 0 {
        assert!(std::time::Instant::now() < patience, "it is kept");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
