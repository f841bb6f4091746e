//! Defines the form of the documents. Ids are BSON UUIDs (16 bytes, shown as hexadecimal by every tool), embeddings are
//! BSON vectors of float32 (Binary subtype 9).

use std::time::Duration;

use mongodb::bson::binary::Vector;
use mongodb::bson::spec::BinarySubtype;
use mongodb::bson::{Binary, Bson, Document, Uuid, doc};
use muster_actors::domain::capture::{Capture, PictureHash, Taken};
use muster_actors::domain::face::{BBox, Face, FaceId};
use muster_actors::domain::gallery::{GroupId, Lineage};
use muster_actors::domain::image::{ImageId, ImageRecord};
use muster_actors::domain::timings::Timings;
use muster_actors::people::legacy::{Decision, Verdict};
use muster_actors::ports::analyses::Content;
use muster_actors::ports::faces::Commit;
use serde::Serialize;

use super::MongoError;
use super::packs::PackRange;
use crate::embeddings::{Digest, digest};

/// Converts an id to its BSON form.
pub fn uuid(id: [u8; 16]) -> Bson {
    Bson::Binary(Uuid::from_bytes(id).into())
}

/// Reads the 16 bytes of an id.
pub(super) fn id(document: &Document, key: &str) -> Result<[u8; 16], MongoError> {
    match document.get(key) {
        Some(Bson::Binary(binary)) => binary.bytes.as_slice().try_into().ok(),
        _ => None,
    }
    .ok_or_else(|| strange(document, key))
}

fn strange(document: &Document, key: &str) -> MongoError {
    let of = document.get("_id").map(ToString::to_string).unwrap_or_default();
    MongoError::Document(format!("document {of} has no {key}, or one of another kind"))
}

/// Reads the id of a face under `key`.
///
/// # Errors
/// [`MongoError::Document`] when the field is missing or of another kind.
pub fn face_id(document: &Document, key: &str) -> Result<FaceId, MongoError> {
    Ok(FaceId(id(document, key)?))
}

/// Reads the id of an image under `key`.
///
/// # Errors
/// [`MongoError::Document`] when the field is missing or of another kind.
pub fn image_id(document: &Document, key: &str) -> Result<ImageId, MongoError> {
    Ok(ImageId(id(document, key)?))
}

/// Reads the id of a group under `key`; `None` where the field is missing or null.
///
/// # Errors
/// [`MongoError::Document`] when the field is of another kind.
pub fn group_id(document: &Document, key: &str) -> Result<Option<GroupId>, MongoError> {
    match document.get(key) {
        None | Some(Bson::Null) => Ok(None),
        Some(_) => Ok(Some(GroupId(id(document, key)?))),
    }
}

/// Reads a text under `key`.
///
/// # Errors
/// [`MongoError::Document`] when the field is missing or of another kind.
pub fn text<'a>(document: &'a Document, key: &str) -> Result<&'a str, MongoError> {
    document.get_str(key).map_err(|_| strange(document, key))
}

/// Reads a non-negative whole number under `key`.
///
/// # Errors
/// [`MongoError::Document`] when the field is missing, of another kind or negative.
pub fn unsigned(document: &Document, key: &str) -> Result<u64, MongoError> {
    let number = match document.get(key) {
        Some(Bson::Int32(number)) => Some(i64::from(*number)),
        Some(Bson::Int64(number)) => Some(*number),
        _ => None,
    };
    number.and_then(|number| u64::try_from(number).ok()).ok_or_else(|| strange(document, key))
}

/// Reads a floating-point number under `key`.
///
/// # Errors
/// [`MongoError::Document`] when the field is missing or of another kind.
pub fn fraction(document: &Document, key: &str) -> Result<f32, MongoError> {
    document.get_f64(key).map(|number| number as f32).map_err(|_| strange(document, key))
}

/// Reads the faces that are suggested for a group, with their probabilities (0 to 1); none in a group of an older
/// release.
///
/// # Errors
/// [`MongoError::Document`] when a suggestion has no face or probability.
pub fn suggestions(group: &Document) -> Result<Vec<(FaceId, f32)>, MongoError> {
    let Ok(all) = group.get_array(SUGGESTIONS) else { return Ok(Vec::new()) };
    let one = |suggestion: &Bson| {
        let suggestion = suggestion.as_document().ok_or_else(|| strange(group, SUGGESTIONS))?;
        Ok((face_id(suggestion, "face")?, fraction(suggestion, "probability")?))
    };
    all.iter().map(one).collect()
}

/// Field of a group with its [`suggestions`].
pub const SUGGESTIONS: &str = "suggestions";

/// Reads the digest of a face's embedding.
///
/// # Errors
/// [`MongoError::Document`] when the field is missing or of another kind.
pub fn digest_of(document: &Document) -> Result<Digest, MongoError> {
    id(document, "digest")
}

/// Reads the digest of an image's bytes; `None` where the bytes were never read.
pub fn content(document: &Document) -> Option<Content> {
    match document.get("content") {
        Some(Bson::Binary(binary)) => binary.bytes.as_slice().try_into().ok(),
        _ => None,
    }
}

/// Converts floats to a BSON vector.
pub fn vector(floats: &[f32]) -> Bson {
    Bson::Binary(Binary::from(Vector::Float32(floats.to_vec())))
}

/// Reads the floats of a BSON vector under `key`.
///
/// # Errors
/// [`MongoError::Document`] when the field is missing or of another kind.
pub fn floats(document: &Document, key: &str) -> Result<Vec<f32>, MongoError> {
    match document.get(key) {
        Some(Bson::Binary(binary)) => match Vector::try_from(binary) {
            Ok(Vector::Float32(floats)) => Ok(floats),
            _ => Err(strange(document, key)),
        },
        _ => Err(strange(document, key)),
    }
}

/// Returns the name that serde has for a value of an enum, such as `no_faces`.
pub fn word(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        _ => String::new(),
    }
}

/// Converts a count to BSON's signed number.
pub fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Reads the box of a face, in pixels of the full upright image.
///
/// # Errors
/// [`MongoError::Document`] when the field is missing or of another kind.
pub fn bbox(document: &Document) -> Result<BBox, MongoError> {
    let parts = document.get_document("box").map_err(|_| strange(document, "box"))?;
    let part = |key| fraction(parts, key);
    Ok(BBox { x: part("x")?, y: part("y")?, width: part("width")?, height: part("height")? })
}

/// Converts a box to its document.
pub(super) fn box_document(bbox: &BBox) -> Document {
    let number = f64::from;
    doc! { "x": number(bbox.x), "y": number(bbox.y), "width": number(bbox.width), "height": number(bbox.height) }
}

/// Field of a face with the location of its crop in a pack; missing where the crop is an object of its own.
pub const CROP: &str = "crop";
/// Field of an image with the location of its result in a pack; missing where the result is an object of its own, or is
/// not stored.
pub const RESULT: &str = "result";

/// Adds a location in a pack to an update, or removes the field.
pub(super) fn locate(update: &mut Document, field: &str, range: Option<&PackRange>) {
    match (range, update.get_document_mut("$set")) {
        (Some(range), Ok(set)) => drop(set.insert(field, range.document())),
        _ => drop(update.insert("$unset", doc! { field: "" })),
    }
}

/// Builds the fields of an image's record, with its timings.
pub fn image(Commit { image, content, timings, .. }: &Commit) -> Document {
    let mut fields = doc! {
        "gallery": &image.locator.gallery.0,
        "bucket": &image.locator.bucket,
        "key": &image.locator.key,
        "etag": &image.etag,
        "bytes": signed(image.bytes),
        "width": i64::from(image.width),
        "height": i64::from(image.height),
        "orientation": i32::from(image.orientation),
        TAKEN: image.taken.map(|taken| taken.local_ms),
        TAKEN_OFFSET: image.taken.and_then(|taken| taken.offset_minutes).map(i32::from),
        PICTURE: image.picture.map(|picture| picture.0.cast_signed()),
        "state": word(&image.state),
        "quality": image.quality.map(f64::from),
        "face_count": i64::from(image.face_count),
        "model": &image.model,
    };
    if let Some(content) = content {
        fields.insert("content", Binary { subtype: BinarySubtype::Generic, bytes: content.to_vec() });
    }
    let rejection = image.rejection.as_ref();
    fields.insert("reason", rejection.map(|rejection| rejection.reason.as_str()));
    fields.insert("timings", self::timings(timings));
    fields.insert("detail", rejection.map(|rejection| rejection.detail.as_str()));
    fields
}

/// Field of an image with the time at which it was taken, in milliseconds since the start of 1970 on the local clock;
/// missing or null where the file does not say.
pub const TAKEN: &str = "taken_local_ms";
/// Field of an image with the difference between that clock and UTC, in minutes.
pub const TAKEN_OFFSET: &str = "taken_offset";
/// Field of an image with the 64 bits of the picture's perceptual hash, as a signed number.
pub const PICTURE: &str = "picture";

/// Returns the projection that [`capture`] needs.
pub fn capture_fields() -> Document {
    doc! { "bucket": 1, "key": 1, TAKEN: 1, TAKEN_OFFSET: 1, PICTURE: 1 }
}

/// Reads the circumstances of an image's capture from [`TAKEN`], [`TAKEN_OFFSET`], [`PICTURE`], `bucket` and `key`.
/// Images of an older release only have the last two.
///
/// # Errors
/// [`MongoError::Document`] when a field is of another kind, or `bucket` or `key` is missing.
pub fn capture(document: &Document) -> Result<Capture, MongoError> {
    let picture = maybe_whole(document, PICTURE)?.map(|bits| PictureHash(bits.cast_unsigned()));
    Ok(Capture::new(taken(document)?, picture, text(document, "bucket")?, text(document, "key")?))
}

/// Reads when an image was taken; `None` where its file does not say.
///
/// # Errors
/// [`MongoError::Document`] when a field is of another kind.
pub fn taken(document: &Document) -> Result<Option<Taken>, MongoError> {
    let offset_minutes = maybe_whole(document, TAKEN_OFFSET)?.and_then(|minutes| i16::try_from(minutes).ok());
    Ok(maybe_whole(document, TAKEN)?.map(|local_ms| Taken { local_ms, offset_minutes }))
}

/// Reads a whole number; `None` where the field is missing or null.
fn maybe_whole(document: &Document, key: &str) -> Result<Option<i64>, MongoError> {
    match document.get(key) {
        None | Some(Bson::Null) => Ok(None),
        Some(Bson::Int32(number)) => Ok(Some(i64::from(*number))),
        Some(Bson::Int64(number)) => Ok(Some(*number)),
        Some(_) => Err(strange(document, key)),
    }
}

/// Builds the durations of an image's stages, in milliseconds. They differ in every run.
fn timings(timings: &Timings) -> Document {
    let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
    let Timings { waited, judge, download, decode, analyse, total } = *timings;
    let stages =
        [("waited", waited), ("judge", judge), ("download", download), ("decode", decode), ("analyse", analyse)];
    let stages = stages.into_iter().filter_map(|(stage, time)| Some((stage.to_owned(), milliseconds(time?).into())));
    let mut fields: Document = stages.collect();
    fields.insert("total", milliseconds(total));
    fields
}

/// Builds the fields of a face's document.
pub fn face(image: &ImageRecord, face: &Face) -> Document {
    let q = &face.quality;
    let landmarks: Vec<Bson> =
        face.landmarks.iter().map(|[x, y]| Bson::from(vec![f64::from(*x), f64::from(*y)])).collect();
    let reasons: Vec<String> = q.reasons.iter().map(word).collect();
    let number = f64::from;
    doc! {
        "gallery": &image.locator.gallery.0,
        "image": uuid(image.id.0),
        "model": &image.model,
        "box": box_document(&face.bbox),
        "landmarks": landmarks,
        "score": number(q.score),
        "overall": number(q.overall),
        "quality": {
            "sharpness": number(q.sharpness), "level": number(q.level), "contrast": number(q.contrast),
            "unevenness": number(q.unevenness), "yaw": number(q.yaw), "pitch": number(q.pitch), "roll": number(q.roll),
            "occlusion": number(q.occlusion), "size": number(q.size), "reasons": reasons, "face": number(q.face),
        },
        "norm": number(q.norm),
        "embedding": vector(&face.embedding),
        "digest": uuid(digest(&face.embedding)),
    }
}

/// Builds the image's record for the existing system, in the database of metadata.
pub fn metadata(image: &ImageRecord) -> Document {
    doc! {
        "gallery_id": &image.locator.gallery.0,
        "bucket": &image.locator.bucket,
        "key": &image.locator.key,
        "status": word(&image.state),
        "reason": image.rejection.as_ref().map(|rejection| rejection.reason.as_str()),
        "face_count": i64::from(image.face_count),
    }
}

/// Reads a decision of a person, as an older release recorded it.
///
/// # Errors
/// [`MongoError::Document`] when the field is missing or of another kind.
pub fn decision(document: &Document) -> Result<Decision, MongoError> {
    let verdict = match text(document, "say")? {
        "same" => Verdict::Same { a: face_id(document, "a")?, b: face_id(document, "b")? },
        "not_same" => Verdict::NotSame { a: face_id(document, "a")?, b: face_id(document, "b")? },
        "face" => Verdict::Face { face: face_id(document, "a")?, is_face: true },
        "not_face" => Verdict::Face { face: face_id(document, "a")?, is_face: false },
        "name" => Verdict::Name { face: face_id(document, "a")?, name: text(document, "name")?.to_owned() },
        _ => return Err(strange(document, "say")),
    };
    Ok(Decision { seq: unsigned(document, "seq")?, verdict })
}

/// Builds the document of an event in the history of groups.
pub fn lineage(event: &Lineage) -> Document {
    match event {
        Lineage::Born { group } => doc! { "event": "born", "group": uuid(group.0) },
        Lineage::Merged { from, into } => doc! { "event": "merged", "group": uuid(from.0), "other": uuid(into.0) },
        Lineage::Split { from, part } => doc! { "event": "split", "group": uuid(from.0), "other": uuid(part.0) },
        Lineage::Died { group } => doc! { "event": "died", "group": uuid(group.0) },
    }
}

/// Checks that a result can be stored: its numbers are finite, and its faces belong to its image.
///
/// # Errors
/// [`MongoError::Invalid`] when the result breaks one of these rules.
pub fn check(Commit { image, faces, .. }: &Commit) -> Result<(), MongoError> {
    if image.id != image.locator.id() {
        return Err(MongoError::Invalid("the image's id is not its locator's".to_owned()));
    }
    for face in faces {
        if face.image != image.id {
            return Err(MongoError::Invalid(format!("face {} is of another image", face.id)));
        }
        if face.embedding.is_empty() || !face.is_finite() {
            return Err(MongoError::Invalid(format!("face {} has a figure that is not finite", face.id)));
        }
    }
    Ok(())
}
