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
}

/// How messages are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intake {
    /// Gallery of images whose message names none.
    pub gallery: GalleryRule,
    /// Where results lie among the images: events about them are passed over. Empty where they lie elsewhere.
    pub results: String,
    /// Where thumbnails lie among the images: events about them are passed over too.
    pub thumbnails: Option<Sibling>,
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
        if record.event_name.contains("ObjectRemoved") || record.event_name.contains("LifecycleExpiration") {
            continue;
        }
        let key = decode(&record.s3.object.key)?;
        if !intake.is_made(&key) {
            let sequencer = record.s3.object.sequencer();
            let locator = locator(intake.gallery.of(&key), record.s3.bucket.name, key)?;
            images.push(ImageEvent { locator, sequencer });
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
        if value.get("detail-type").and_then(Value::as_str) == Some("Object Deleted") {
            return Ok(Message::Ignored("nothing was created"));
        }
        let detail = value.get_mut("detail").map(Value::take).unwrap_or_default();
        let S3 { bucket, object } = shape(detail, "EventBridge event")?;
        if intake.is_made(&object.key) {
            return Ok(Message::Ignored("a result or thumbnail"));
        }
        let sequencer = object.sequencer();
        let locator = locator(intake.gallery.of(&object.key), bucket.name, object.key)?;
        return Ok(Message::Images(vec![ImageEvent { locator, sequencer }]));
    }
    let own: Own = shape(value, "neither an S3 event nor {bucket, key, gallery_id}")?;
    let of = own.gallery_id.map_or_else(|| intake.gallery.of(&own.key), GalleryId);
    Ok(Message::Images(vec![ImageEvent { locator: locator(of, own.bucket, own.key)?, sequencer: None }]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Result<Message, RejectReason> {
        let intake = Intake {
            gallery: GalleryRule::Always(GalleryId("g".into())),
            results: "results/".into(),
            thumbnails: "thumbs/{key}".parse().ok(),
        };
        parse(body, &intake, 4096).map_err(|rejection| rejection.reason)
    }

    fn images(of: &[(&str, &str, &str)]) -> Result<Message, RejectReason> {
        let locator = |(gallery, bucket, key): &(&str, &str, &str)| Locator {
            gallery: GalleryId((*gallery).into()),
            bucket: (*bucket).into(),
            key: (*key).into(),
        };
        Ok(Message::Images(of.iter().map(|of| ImageEvent { locator: locator(of), sequencer: None }).collect()))
    }

    fn s3(version: &str, event: &str, key: &str) -> String {
        format!(
            r#"{{"eventVersion":"{version}","eventSource":"aws:s3","eventName":"{event}",
                "s3":{{"bucket":{{"name":"b"}},"object":{{"key":"{key}","size":1}}}}}}"#
        )
    }

    #[test]
    fn every_shape_of_message_is_read() {
        let one = |record: String| format!(r#"{{"Records":[{record}]}}"#);
        let put = "ObjectCreated:Put";
        for (body, expected) in [
            (r#"{"bucket":"b","key":"k +%41","gallery_id":"mine"}"#.into(), images(&[("mine", "b", "k +%41")])),
            (r#"{"bucket":"b","key":"k"}"#.into(), images(&[("g", "b", "k")])),
            (one(s3("2.1", put, "a+b%2Bc/%C3%A9.jpg")), images(&[("g", "b", "a b+c/é.jpg")])),
            (one(s3("99.7", put, "k")), images(&[("g", "b", "k")])),
            (
                one(s3("2.1", "ObjectRemoved:Delete", "k")),
                Ok(Message::Ignored("nothing was created, or a result or thumbnail")),
            ),
            (
                one(s3("2.1", put, "thumbs/k.jpg")),
                Ok(Message::Ignored("nothing was created, or a result or thumbnail")),
            ),
            (
                one(s3("2.1", put, "results/k.json")),
                Ok(Message::Ignored("nothing was created, or a result or thumbnail")),
            ),
            (
                r#"{"source":"aws.s3","detail-type":"Object Created",
                    "detail":{"bucket":{"name":"b"},"object":{"key":"results/k"}}}"#
                    .into(),
                Ok(Message::Ignored("a result or thumbnail")),
            ),
            (
                format!(r#"{{"Records":[{},{}]}}"#, s3("2.1", put, "k"), s3("2.1", put, "l")),
                images(&[("g", "b", "k"), ("g", "b", "l")]),
            ),
            (r#"{"Service":"Amazon S3","Event":"s3:TestEvent"}"#.into(), Ok(Message::Ignored("s3:TestEvent"))),
            (
                r#"{"source":"aws.s3","detail-type":"Object Created",
                    "detail":{"bucket":{"name":"b"},"object":{"key":"a+b"}}}"#
                    .into(),
                images(&[("g", "b", "a+b")]),
            ),
            (
                r#"{"source":"aws.s3","detail-type":"Object Deleted","detail":{}}"#.into(),
                Ok(Message::Ignored("nothing was created")),
            ),
            (
                serde_json::json!({"Type": "Notification", "Message": one(s3("2.1", put, "k"))}).to_string(),
                images(&[("g", "b", "k")]),
            ),
        ] {
            assert_eq!(read(&body), expected, "{body}");
        }
    }

    #[test]
    fn an_event_says_where_it_stands_among_those_of_its_image() {
        let records =
            |object: &str| format!(r#"{{"Records":[{{"s3":{{"bucket":{{"name":"b"}},"object":{{{object}}}}}}}]}}"#);
        let bridge = |object: &str| {
            format!(r#"{{"source":"aws.s3","detail":{{"bucket":{{"name":"b"}},"object":{{{object}}}}}}}"#)
        };
        for (object, expected) in [
            (r#""key":"k","sequencer":"0055AED6DCD90281E5""#, Sequencer::new("0055AED6DCD90281E5")),
            (r#""key":"k""#, None),
            (r#""key":"k","sequencer":null"#, None),
            (r#""key":"k","sequencer":"no digits""#, None),
            (r#""key":"k","sequencer":7"#, None),
        ] {
            for body in [records(object), bridge(object)] {
                let Ok(Message::Images(images)) = read(&body) else { panic!("{body}") };
                assert_eq!(images[0].sequencer, expected, "{body}");
            }
        }
    }

    #[test]
    fn what_cannot_be_read_is_a_bad_message() {
        let long = format!(r#"{{"bucket":"b","key":"{}"}}"#, "k".repeat(5000));
        for body in [
            "",
            "not json",
            "[]",
            "null",
            "{}",
            r#"{"bucket":"b"}"#,
            r#"{"bucket":"","key":"k"}"#,
            r#"{"Records":7}"#,
            r#"{"Records":[{"eventSource":"aws:sns"}]}"#,
            r#"{"Records":[{"eventSource":"aws:sqs","s3":{"bucket":{"name":"b"},"object":{"key":"k"}}}]}"#,
            r#"{"Records":[{"s3":{"bucket":{"name":"b"},"object":{"key":"%4"}}}]}"#,
            r#"{"Records":[{"s3":{"bucket":{"name":"b"},"object":{"key":"%ff"}}}]}"#,
            r#"{"source":"aws.s3","detail-type":"Object Created"}"#,
            r#"{"Type":"Notification","Message":"not json"}"#,
            r#"{"bucket":"b","key":"k","gallery_id":""}"#,
            r#"{"bucket":"b","key":"k","gallery_id":"../other"}"#,
            r#"{"bucket":"b","key":"k","gallery_id":".."}"#,
            r#"{"bucket":"b","key":"k","gallery_id":"a\u0000b"}"#,
            &long,
        ] {
            assert_eq!(read(body), Err(RejectReason::BadMessage), "{body}");
        }
    }

    #[test]
    fn a_grouping_message_names_its_gallery() {
        let read = |body: &str| parse_grouping(body, 4096).map_err(|rejection| rejection.reason);
        let mine = Ok(GalleryId("mine".into()));
        assert_eq!(read(r#"{"gallery_id":"mine"}"#), mine);
        assert_eq!(read(r#"{"Type":"Notification","Message":"{\"gallery_id\":\"mine\"}"}"#), mine);
        for body in ["", "{}", r#"{"gallery_id":7}"#, r#"{"gallery_id":"a/b"}"#, r#"{"bucket":"b","key":"k"}"#] {
            assert_eq!(read(body), Err(RejectReason::BadMessage), "{body}");
        }
    }

    #[test]
    fn an_image_without_a_gallery_goes_where_the_rule_says() {
        let other = GalleryId("other".into());
        for (rule, key, gallery) in [
            (GalleryRule::Always(other.clone()), "wedding/1.jpg", "other"),
            (GalleryRule::FirstFolder(other.clone()), "wedding/a/1.jpg", "wedding"),
            (GalleryRule::FirstFolder(other.clone()), "1.jpg", "other"),
            (GalleryRule::FirstFolder(other), "/1.jpg", "other"),
        ] {
            assert_eq!(rule.of(key).0, gallery, "{rule:?} {key}");
        }
    }
}
