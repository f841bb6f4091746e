//! Decides which target an image goes to, and splits messages by target. Pure functions.

use std::borrow::Cow;

use serde_json::{Value, json};

use crate::domain::gallery::{GalleryId, GalleryRule};
use crate::domain::image::digest;
use crate::domain::message::{Intake, Message, json, parse};

/// The fleet that works on an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CutoverTarget {
    /// The existing ECS service.
    Ecs,
    /// The Batch jobs that replace it.
    Batch,
}

/// Returns the position of an image, 0 to 99, which depends on its bucket and key alone.
pub fn place(bucket: &str, key: &str) -> u8 {
    let id = digest("cutover", &[bucket.as_bytes(), key.as_bytes()]);
    let high = id.iter().take(8).fold(0u64, |number, byte| number << 8 | u64::from(*byte));
    u8::try_from((u128::from(high) * 100) >> 64).unwrap_or(99)
}

/// Returns the target of an image while `percent` of the images go to Batch. An image that goes to Batch at one percentage does
/// so at every higher one.
pub fn side(bucket: &str, key: &str, percent: u8) -> CutoverTarget {
    if place(bucket, key) < percent { CutoverTarget::Batch } else { CutoverTarget::Ecs }
}

/// A message, or the part of it that goes to one target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoutedPart<'a> {
    /// Target of the part.
    pub side: CutoverTarget,
    /// Body of the message to send.
    pub body: Cow<'a, str>,
}

/// Splits a message of at most `limit` bytes by target; one for a single target stays as it came. A message that cannot be
/// read goes to ECS (to Batch when all images do), where a worker dead-letters it with its reason.
pub fn split(body: &str, percent: u8, limit: usize) -> Vec<RoutedPart<'_>> {
    let whole = |side| vec![RoutedPart { side, body: Cow::Borrowed(body) }];
    match percent {
        0 => return whole(CutoverTarget::Ecs),
        1..100 => {}
        100.. => return whole(CutoverTarget::Batch),
    }
    let sides = match sides(body, percent, limit) {
        Some(sides) => sides,
        None => return whole(CutoverTarget::Ecs),
    };
    match sides.first() {
        Some(first) if sides.iter().all(|side| side == first) => whole(*first),
        Some(_) => records(body, percent, limit).unwrap_or_else(|| whole(CutoverTarget::Ecs)),
        None => whole(CutoverTarget::Ecs),
    }
}

/// Returns the targets of a message's images; `None` where it asks for none.
fn sides(body: &str, percent: u8, limit: usize) -> Option<Vec<CutoverTarget>> {
    // Whether a key is a photo, a result or a thumbnail is for the worker to decide; all have a bucket and a key.
    let gallery = GalleryRule::Always(GalleryId("any".to_owned()));
    let intake = Intake { gallery, results: String::new(), thumbnails: None, removals: true };
    match parse(body, &intake, limit) {
        Ok(Message::Images(images)) => {
            Some(images.iter().map(|image| side(&image.locator.bucket, &image.locator.key, percent)).collect())
        }
        Ok(Message::Ignored(_)) | Err(_) => None,
    }
}

/// Splits the records of an event into one message a target. Records that ask for nothing are left out.
fn records(body: &str, percent: u8, limit: usize) -> Option<Vec<RoutedPart<'static>>> {
    let Value::Array(all) = json(body, limit).ok()?.get_mut("Records")?.take() else { return None };
    let (mut ecs, mut batch) = (Vec::new(), Vec::new());
    for record in all {
        let alone = json!({ "Records": [record] });
        match sides(&alone.to_string(), percent, usize::MAX).as_deref() {
            Some([CutoverTarget::Ecs]) => ecs.push(record),
            Some([CutoverTarget::Batch]) => batch.push(record),
            _ => {}
        }
    }
    let part = |(side, records): (CutoverTarget, Vec<Value>)| RoutedPart {
        side,
        body: Cow::Owned(plain(&json!({ "Records": records }))),
    };
    Some(
        [(CutoverTarget::Ecs, ecs), (CutoverTarget::Batch, batch)]
            .into_iter()
            .filter(|(_, records)| !records.is_empty())
            .map(part)
            .collect(),
    )
}

/// Renders JSON without the two characters that SQS refuses, which may have come as escapes.
fn plain(value: &Value) -> String {
    value.to_string().replace('\u{fffe}', "\\ufffe").replace('\u{ffff}', "\\uffff")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMIT: usize = 1 << 20;

    #[test]
    fn an_image_stands_where_it_always_stood() {
        for (bucket, key, expected) in GOLDEN {
            assert_eq!(place(bucket, key), expected, "{bucket} {key}");
        }
    }

    const GOLDEN: [(&str, &str, u8); 6] = [
        ("photos", "wedding/1.jpg", 79),
        ("photos", "wedding/2.jpg", 28),
        ("photos", "Wedding/1.jpg", 93),
        ("photo", "swedding/1.jpg", 25),
        ("photos", "", 72),
        ("photos", "été/ü 😀.heic", 88),
    ];

    #[test]
    fn a_percentage_of_the_images_goes_to_batch_and_stays_there_as_it_grows() {
        let keys: Vec<String> = (0..10_000).map(|n| format!("gallery{}/IMG_{n:04}.jpg", n % 17)).collect();
        let mut before = 0;
        for percent in 0..=100 {
            let there = keys.iter().filter(|key| side("photos", key, percent) == CutoverTarget::Batch).count();
            assert!(there.abs_diff(usize::from(percent) * 100) <= 200, "{there} of 10,000 at {percent} %");
            assert_eq!((there == 0, there == keys.len()), (percent == 0, percent == 100), "none at first, all at last");
            assert!(there >= before);
            before = there;
        }
    }

    proptest! {
        #[test]
        fn who_is_there_at_one_percentage_is_there_at_every_higher_one(bucket in ".{0,20}", key in ".{0,80}", low in 0u8..=100, high in 0u8..=100) {
            let (low, high) = (low.min(high), low.max(high));
            prop_assert!(side(&bucket, &key, low) <= side(&bucket, &key, high));
            prop_assert!((side(&bucket, &key, 0), side(&bucket, &key, 100)) == (CutoverTarget::Ecs, CutoverTarget::Batch));
        }

        #[test]
        fn whatever_comes_goes_somewhere(body in ".{0,200}", percent in 0u8..=100) {
            let parts = split(&body, percent, LIMIT);
            prop_assert!(parts.len() == 1 && parts[0].body == body);
        }
    }

    fn record(key: &str) -> Value {
        json!({ "eventSource": "aws:s3", "eventName": "ObjectCreated:Put", "awsRegion": "kept",
            "s3": { "bucket": { "name": "b" }, "object": { "key": key } } })
    }

    /// Keys of the two sides at 50 %.
    fn keys() -> [Vec<String>; 2] {
        let keys = (0..40).map(|n| format!("{n}.jpg"));
        let (batch, ecs) = keys.partition(|key| side("b", key, 50) == CutoverTarget::Batch);
        [ecs, batch]
    }

    #[test]
    fn every_message_goes_to_its_side() {
        let [ecs, batch] = keys();
        let (stays, goes) = (ecs[0].as_str(), batch[0].as_str());
        let own = |key: &str| json!({ "bucket": "b", "key": key, "gallery_id": "g" }).to_string();
        let bridge = |key: &str| {
            json!({ "source": "aws.s3", "detail-type": "Object Created",
                "detail": { "bucket": { "name": "b" }, "object": { "key": key } } })
            .to_string()
        };
        let event = |keys: &[&str]| json!({ "Records": keys.iter().map(|key| record(key)).collect::<Vec<_>>() });
        let enveloped = |event: Value| json!({ "Type": "Notification", "Message": event.to_string() }).to_string();
        let long = own(&"k".repeat(LIMIT));
        for (body, percent, expected) in [
            (own(stays), 50, CutoverTarget::Ecs),
            (own(goes), 50, CutoverTarget::Batch),
            (bridge(goes), 50, CutoverTarget::Batch),
            (event(&[goes, &batch[1]]).to_string(), 50, CutoverTarget::Batch),
            (event(&[stays, &ecs[1]]).to_string(), 50, CutoverTarget::Ecs),
            (enveloped(event(&[goes])), 50, CutoverTarget::Batch),
            (event(&[stays, goes]).to_string(), 0, CutoverTarget::Ecs),
            (event(&[stays, goes]).to_string(), 100, CutoverTarget::Batch),
            // These have nothing to index, or cannot be read.
            (json!({ "Event": "s3:TestEvent" }).to_string(), 50, CutoverTarget::Ecs),
            ("not JSON".to_owned(), 50, CutoverTarget::Ecs),
            ("not JSON".to_owned(), 100, CutoverTarget::Batch),
            (event(&[goes, "%4"]).to_string(), 50, CutoverTarget::Ecs),
            (long, 50, CutoverTarget::Ecs),
        ] {
            let parts = split(&body, percent, LIMIT);
            assert_eq!(parts, [RoutedPart { side: expected, body: Cow::Borrowed(&body) }], "as it came");
        }
    }

    #[test]
    fn a_message_for_both_sides_is_split_record_by_record() {
        let [ecs, batch] = keys();
        let mut removed = record(&ecs[1]);
        removed["eventName"] = "ObjectRemoved:Delete".into();
        let odd = format!("\u{ffff}{}", batch[0]);
        let odd = (0..).map(|n| format!("{odd}{n}")).find(|key| side("b", key, 50) == CutoverTarget::Batch).unwrap();
        // A deletion goes to the target of its photo.
        let records = [record(&ecs[0]), record(&batch[0]), removed, record(&ecs[2]), record(&odd)];
        let body = json!({ "Records": records }).to_string();
        for body in [body.clone(), json!({ "Type": "Notification", "Message": body }).to_string()] {
            let parts = split(&body, 50, LIMIT);
            let read = |part: &RoutedPart<'_>| (part.side, serde_json::from_str::<Value>(&part.body).unwrap());
            let expected = [
                (CutoverTarget::Ecs, json!({ "Records": [records[0], records[2], records[3]] })),
                (CutoverTarget::Batch, json!({ "Records": [records[1], records[4]] })),
            ];
            assert_eq!(parts.iter().map(read).collect::<Vec<_>>(), expected);
            assert!(!parts.iter().any(|part| part.body.contains('\u{ffff}')), "SQS would refuse it");
        }
    }
}
