//! Photos that were deleted from their bucket, told by its events.

use super::remains::Own;
use super::{count, support};
use crate::support::fleet::{Worker, ended};
use mongodb::bson::{Document, doc};
use serde_json::{Value, json};

/// The event of a deletion, as S3 writes it.
fn removed(own: &Own, key: &str, sequencer: &str) -> String {
    let event = json!({ "eventSource": "aws:s3", "eventName": "ObjectRemoved:Delete", "s3": {
        "bucket": { "name": own.fleet.photos }, "object": { "key": key, "sequencer": sequencer } } });
    json!({ "Records": [event] }).to_string()
}

/// A worker until the queue is empty; its summary.
fn detect(own: &Own, removals: &str) -> Value {
    let mut worker = own.fleet.worker("detect");
    ended(Worker::start(worker.env("REDIS_URL", &own.redis).env("MUSTER_QUEUES__REMOVALS", removals)), 0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_photo_leaves_nothing_where_that_is_set_and_what_is_there_stays() {
    let own = Own::new(9).await;
    let folder = support::photos("demo").join("P001");
    let keys = own.fleet.upload(&folder, "demo/").await;
    own.index(&keys).await;
    let (gone, there) = (&keys[0], &keys[1]);
    let faces = async || {
        let images = own.fleet.database("gallery_images").await.collection::<Document>("images");
        let image = images.find_one(doc! { "key": gone }).await.unwrap().unwrap();
        let faces = own.fleet.database("gallery_images").await.collection::<Document>("faces");
        faces.count_documents(doc! { "image": image.get("_id").unwrap() }).await.unwrap()
    };
    let before = (faces().await, own.all("faces").await.len());
    assert!(before.0 > 0);
    own.fleet.s3.delete_object().bucket(&own.fleet.photos).key(gone.as_str()).send().await.unwrap();
    let send = async || own.fleet.send([removed(&own, gone, "2"), removed(&own, there, "2")]).await;

    send().await;
    detect(&own, "ignore");
    assert_eq!((faces().await, own.all("faces").await.len()), before, "nothing is told");

    send().await;
    let summary = detect(&own, "remove");
    assert_eq!(count(&summary, "removed"), 2, "{summary:#}");
    assert_eq!((faces().await, own.all("faces").await.len()), (0, before.1 - before.0 as usize));
    let image = async |key: &str| {
        let images = own.all("images").await;
        images.into_iter().find(|image| image.get_str("key").is_ok_and(|name| name == key)).unwrap()
    };
    let (gone, there) = (image(gone).await, image(there).await);
    let entries = async |of: &Document| {
        let of = of.get("_id").unwrap();
        let packs = own.all("packs").await;
        let entries = packs.iter().flat_map(|pack| pack.get_array("entries").unwrap());
        entries.filter(|entry| entry.as_document().unwrap().get("image") == Some(of)).count()
    };
    assert_eq!(entries(&gone).await, 0, "its crops and its result are in no pack");
    assert!(entries(&there).await > 1);
    assert_eq!(own.fleet.depth(&own.fleet.images).await, (0, 0));
}
