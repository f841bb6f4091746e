//! Messages about images, as S3 sends them: several images in one, an image in two, and some that are about no image at all.

use std::time::Duration;

use serde_json::{Value, json};

use crate::sim::scenario::ImageKind;
use crate::sim::world::{World, locator};

/// A message.
pub(super) struct Notification {
    pub(super) body: String,
    /// The images that it names.
    pub(super) images: Vec<usize>,
    /// How long after it is sent it can be received.
    pub(super) delay: Duration,
}

impl Notification {
    fn new(body: String, images: Vec<usize>) -> Self {
        Self { body, images, delay: Duration::ZERO }
    }
}

/// Keys in S3's events are encoded as forms are.
fn encoded(key: &str) -> String {
    key.replace(' ', "+")
}

/// Of the version of a key; the events of its versions are in the order of these numbers.
fn record(event: &str, key: &str, version: u8) -> Value {
    let sequencer = format!("0055AED6DCD90281E{version}");
    let object = json!({ "key": encoded(key), "size": 16, "sequencer": sequencer });
    json!({
        "eventVersion": "2.1", "eventSource": "aws:s3", "eventName": event,
        "s3": { "bucket": { "name": "photos" }, "object": object },
    })
}

/// S3 tells that a version of these images is there.
pub(super) fn created(images: Vec<usize>, version: u8) -> Notification {
    let record = |image: &usize| record("ObjectCreated:Put", &locator(*image).key, version);
    let records: Vec<Value> = images.iter().map(record).collect();
    Notification::new(json!({ "Records": records }).to_string(), images)
}

/// What a scan of a folder says of an image.
fn scanned(image: usize) -> Notification {
    let at = locator(image);
    let body = json!({ "bucket": at.bucket, "key": at.key, "gallery_id": at.gallery }).to_string();
    Notification::new(body, vec![image])
}

fn unreadable(image: usize) -> Notification {
    Notification::new(format!("{{\"unreadable\": {image}"), vec![image])
}

/// Nothing to index: a new notification is tried out, and a release before wrote its results beside the images.
fn noise() -> Vec<Notification> {
    let test = json!({ "Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "photos" }).to_string();
    let result = json!({ "Records": [record("ObjectCreated:Put", "results/even/photo 0.json", 0)] }).to_string();
    [test, result].map(|body| Notification::new(body, Vec::new())).into()
}

/// The messages about the images of a world: in a fleet as S3 sends them, on a laptop as a scan of a folder does.
pub(super) fn notifications(world: &World) -> Vec<Notification> {
    let (kinds, records, fleet) = world.look(|s| (s.images.clone(), s.records, s.fleet.is_some()));
    let overwritten = world.look(|s| s.overwritten.clone());
    let (bad, mut left): (Vec<usize>, Vec<usize>) =
        (0..kinds.len()).partition(|image| kinds[*image] == ImageKind::BadMessage);
    let mut all: Vec<Notification> = bad.into_iter().map(unreadable).collect();
    if !fleet {
        all.extend(left.into_iter().map(scanned));
        return all;
    }
    let twice: Vec<usize> = left.iter().copied().filter(|_| world.chance(|s| s.told_twice)).collect();
    all.extend(twice.into_iter().map(|image| created(vec![image], 0)));
    let again = overwritten.into_iter().filter(|(image, _)| left.contains(image));
    all.extend(again.map(|(image, at)| Notification { delay: at, ..created(vec![image], 1) }));
    while !left.is_empty() {
        let count = if records > 1 { 1 + world.below(records) } else { 1 };
        all.push(created(left.drain(..count.min(left.len())).collect(), 0));
    }
    if records > 1 {
        all.extend(noise());
    }
    all
}
