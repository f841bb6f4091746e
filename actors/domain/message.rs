//! What a queue message asks for. Pure.
//!
//! Accepted: S3 event notifications (`Records[]`, url-encoded keys, any version that has the shape; Amazon S3 User
//! Guide, "Event message structure"), `s3:TestEvent`, EventBridge S3 events (keys not encoded), either of them in an
//! SNS envelope, and muster's own `{"bucket", "key", "gallery_id"}`. A grouping message is `{"gallery_id"}`.

use serde::Deserialize;
use serde_json::Value;

use crate::domain::gallery::{GalleryId, GalleryRule};
use crate::domain::image::{Locator, RejectReason, Rejection};
use crate::domain::sibling::Sibling;
use crate::domain::version::Sequencer;

/// What a message asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Index these images, at least one.
    Images(Vec<ImageEvent>),
    /// Nothing to index; the reason is for the log.
    Ignored(&'static str),
}

/// An image that a message asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageEvent {
    /// Where it is.
    pub locator: Locator,
    /// Where the event stands among those of the image, where it says so.
    pub sequencer: Option<Sequencer>,
    /// It was deleted, as far as the event says.
    pub removed: bool,
}

/// How messages are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intake {
    /// Gallery of images whose message names none.
    pub gallery: GalleryRule,
    /// Where workers of releases before, or by their settings, write results among the images: events about them are
    /// passed over. Empty where no worker does.
    pub results: String,
    /// Where thumbnails lie among the images: events about them are passed over too.
    pub thumbnails: Option<Sibling>,
    /// Events that an image was deleted ask for something too.
    pub removals: bool,
}

impl Intake {
    /// Whether an object is made from an image, and none to index.
    fn is_made(&self, key: &str) -> bool {
        let result = !self.results.is_empty() && key.starts_with(&self.results);
        result || self.thumbnails.as_ref().is_some_and(|thumbnails| thumbnails.is_one(key))
    }
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

#[derive(Deserialize)]
struct Keyed {
    key: String,
    #[serde(default)]
    sequencer: Option<Value>,
}

impl Keyed {
    /// What is no sequencer orders nothing, and is no reason to pass an image over.
    fn sequencer(&self) -> Option<Sequencer> {
        Sequencer::new(self.sequencer.as_ref()?.as_str()?)
    }
}

#[derive(Deserialize)]
struct S3 {
    bucket: Named,
    object: Keyed,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    #[serde(default)]
    event_name: String,
    #[serde(default)]
    event_source: String,
    s3: S3,
}

#[derive(Deserialize)]
struct Own {
    bucket: String,
    key: String,
    gallery_id: Option<String>,
}

fn bad(detail: impl Into<String>) -> Rejection {
    Rejection::new(RejectReason::BadMessage, detail)
}

/// Undoes the url encoding of S3's keys and of forms: `+` is a space, `%41` is `A`.
///
/// # Errors
/// [`RejectReason::BadMessage`].
pub fn decode(key: &str) -> Result<String, Rejection> {
    let mut bytes = Vec::with_capacity(key.len());
    let mut rest = key.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || rest.next().and_then(|digit| char::from(digit).to_digit(16));
                match (digit(), digit()) {
                    (Some(high), Some(low)) => (high * 16 + low) as u8,
                    _ => return Err(bad("the key has a broken percent escape")),
                }
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).map_err(|_| bad("the decoded key is not UTF-8"))
}

#[derive(Deserialize)]
struct Grouping {
    gallery_id: String,
}

/// Longest name of a gallery in bytes: it is part of S3 keys, which have 1,024.
const LONGEST: usize = 256;

/// A gallery's name becomes part of object keys and of pages: only what is harmless there.
///
/// # Errors
/// [`RejectReason::BadMessage`].
pub fn gallery(id: String) -> Result<GalleryId, Rejection> {
    let odd = |c: char| c.is_control() || c == '/' || c == '\\';
    if id.is_empty() || id.len() > LONGEST || id.chars().any(odd) || id.chars().all(|c| c == '.') {
        return Err(bad("gallery_id is empty, too long, or not a plain name"));
    }
    Ok(GalleryId(id))
}

fn locator(of: GalleryId, bucket: String, key: String) -> Result<Locator, Rejection> {
    if bucket.is_empty() || key.is_empty() {
        return Err(bad("bucket or key is empty"));
    }
    Ok(Locator { gallery: gallery(of.0)?, bucket, key })
}

fn shape<T: serde::de::DeserializeOwned>(value: Value, what: &str) -> Result<T, Rejection> {
    serde_json::from_value(value).map_err(|error| bad(format!("{what}: {error}")))
}

fn records(records: Value, intake: &Intake) -> Result<Message, Rejection> {
    let mut images = Vec::new();
    for record in shape::<Vec<Record>>(records, "S3 event")? {
        if !record.event_source.is_empty() && record.event_source != "aws:s3" {
            return Err(bad("an event that is not from S3"));
        }
        let removed = ["ObjectRemoved", "LifecycleExpiration"].iter().any(|name| record.event_name.contains(name));
        if removed && !intake.removals {
            continue;
        }
        let key = decode(&record.s3.object.key)?;
        if !intake.is_made(&key) {
            let sequencer = record.s3.object.sequencer();
            let locator = locator(intake.gallery.of(&key), record.s3.bucket.name, key)?;
            images.push(ImageEvent { locator, sequencer, removed });
        }
    }
    Ok(if images.is_empty() {
        Message::Ignored("nothing was created, or a result or thumbnail")
    } else {
        Message::Images(images)
    })
}

/// Reads a message of at most `limit` bytes that asks for the grouping of a gallery.
///
/// # Errors
/// [`RejectReason::BadMessage`] with what is wrong.
pub fn parse_grouping(body: &str, limit: usize) -> Result<GalleryId, Rejection> {
    let Grouping { gallery_id } = shape(json(body, limit)?, "not {gallery_id}")?;
    gallery(gallery_id)
}

/// The JSON of a message of at most `limit` bytes, out of its SNS envelope.
pub(crate) fn json(body: &str, limit: usize) -> Result<Value, Rejection> {
    if body.len() > limit {
        return Err(bad(format!("{} bytes, more than {limit}", body.len())));
    }
    let mut value: Value = serde_json::from_str(body).map_err(|error| bad(format!("not JSON: {error}")))?;
    let enveloped = value.get("Type").and_then(Value::as_str) == Some("Notification");
    if let (true, Some(inner)) = (enveloped, value.get("Message").and_then(Value::as_str)) {
        value = serde_json::from_str(inner).map_err(|error| bad(format!("inside SNS, not JSON: {error}")))?;
    }
    Ok(value)
}

/// Reads a message of at most `limit` bytes. Images without a gallery go where `intake` says.
///
/// # Errors
/// [`RejectReason::BadMessage`] with what is wrong.
pub fn parse(body: &str, intake: &Intake, limit: usize) -> Result<Message, Rejection> {
    let mut value = json(body, limit)?;
    if let Some(found) = value.get_mut("Records") {
        return records(found.take(), intake);
    }
    if value.get("Event").and_then(Value::as_str) == Some("s3:TestEvent") {
        return Ok(Message::Ignored("s3:TestEvent"));
    }
    if value.get("source").and_then(Value::as_str) == Some("aws.s3") {
        let removed = value.get("detail-type").and_then(Value::as_str) == Some("Object Deleted");
        if removed && !intake.removals {
            return Ok(Message::Ignored("nothing was created"));
        }
        let detail = value.get_mut("detail").map(Value::take).unwrap_or_default();
        let S3 { bucket, object } = shape(detail, "EventBridge event")?;
        if intake.is_made(&object.key) {
            return Ok(Message::Ignored("a result or thumbnail"));
        }
        let sequencer = object.sequencer();
        let locator = locator(intake.gallery.of(&object.key), bucket.name, object.key)?;
        return Ok(Message::Images(vec![ImageEvent { locator, sequencer, removed }]));
    }
    let own: Own = shape(value, "neither an S3 event nor {bucket, key, gallery_id}")?;
    let of = own.gallery_id.map_or_else(|| intake.gallery.of(&own.key), GalleryId);
    let locator = locator(of, own.bucket, own.key)?;
    Ok(Message::Images(vec![ImageEvent { locator, sequencer: None, removed: false }]))
}

#[cfg(test)]
mod tests;
