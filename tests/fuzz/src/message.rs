//! Messages of queues: what is asked for is complete, harmless and within the limit, and comes back as it was written.

use std::fmt::Write as _;

use muster_actors::domain::gallery::{GalleryId, GalleryRule};
use muster_actors::domain::image::{Locator, RejectReason};
use muster_actors::domain::message::{ImageEvent, Intake, Message, parse, parse_grouping};
use serde_json::json;

/// Below the size of the largest seeds' mutations, so that it is passed at times.
const LIMIT: usize = 2048;

fn harmless(gallery: &GalleryId) {
    let GalleryId(name) = gallery;
    assert!(!name.is_empty() && name.len() <= 256, "{name:?}");
    assert!(!name.contains(['/', '\\']) && !name.chars().any(char::is_control), "{name:?}");
    assert!(name.chars().any(|c| c != '.'), "{name:?}");
}

/// A key as S3 writes it into events, every byte of it escaped.
fn escaped(key: &str) -> String {
    key.bytes().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = if byte == b' ' { write!(text, "+") } else { write!(text, "%{byte:02x}") };
        text
    })
}

fn written(image: &Locator, intake: &Intake) {
    let Locator { gallery, bucket, key } = image;
    let one = Ok(Message::Images(vec![ImageEvent { locator: image.clone(), sequencer: None, removed: false }]));
    let own = json!({ "bucket": bucket, "key": key, "gallery_id": gallery.0 }).to_string();
    assert_eq!(parse(&own, intake, usize::MAX), one, "{own}");
    if intake.gallery.of(key) != *gallery {
        return;
    }
    let event = json!({ "Records": [{ "s3": { "bucket": { "name": bucket }, "object": { "key": escaped(key) } } }] });
    let enveloped = json!({ "Type": "Notification", "Message": event.to_string() }).to_string();
    let made =
        key.starts_with(&intake.results) || intake.thumbnails.as_ref().is_some_and(|thumbnails| thumbnails.is_one(key));
    for body in [event.to_string(), enveloped] {
        match parse(&body, intake, usize::MAX) {
            Ok(Message::Ignored(_)) => assert!(made, "{body}"),
            read => assert!(!made && read == one, "{body}: {read:?}"),
        }
    }
}

/// Bytes as the body of a message.
pub fn message(data: &[u8]) {
    let body = String::from_utf8_lossy(data);
    let other = GalleryId("other".to_owned());
    for gallery in [GalleryRule::Always(other.clone()), GalleryRule::FirstFolder(other.clone())] {
        let thumbnails = "thumbs/{key}".parse().ok();
        let intake =
            Intake { gallery, results: "results/".to_owned(), thumbnails, removals: data.len().is_multiple_of(2) };
        let read = parse(&body, &intake, LIMIT);
        assert_eq!(read, parse(&body, &intake, LIMIT), "read twice");
        match read {
            Ok(Message::Images(images)) => {
                assert!(!images.is_empty() && body.len() <= LIMIT);
                for ImageEvent { locator: image, .. } in &images {
                    harmless(&image.gallery);
                    assert!(!image.bucket.is_empty() && !image.key.is_empty());
                    written(image, &intake);
                }
            }
            Ok(Message::Ignored(why)) => assert!(!why.is_empty() && body.len() <= LIMIT),
            Err(rejection) => assert_eq!(rejection.reason, RejectReason::BadMessage),
        }
        if let Some(limit) = body.len().checked_sub(1) {
            assert!(parse(&body, &intake, limit).is_err(), "above the limit");
        }
    }
    if let Ok(gallery) = parse_grouping(&body, LIMIT) {
        harmless(&gallery);
        let own = json!({ "gallery_id": gallery.0 }).to_string();
        assert_eq!(parse_grouping(&own, usize::MAX), Ok(gallery));
    }
}
