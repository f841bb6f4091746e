//! Images, results and crops in S3.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use aws_sdk_s3::Client;
use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::types::{ChecksumAlgorithm, ServerSideEncryption};
use bytes::{Bytes, BytesMut};
use muster_actors::domain::image::{ImageId, Locator, RejectReason, Rejection};
use muster_actors::errors::Class;
use muster_actors::ports::objects::{Object, Objects, ObjectsError};

use super::classify::{Fault, fault};

/// A bucket's objects, read by locator.
#[derive(Clone, Debug)]
pub struct S3Objects {
    client: Client,
    /// Whether any object could be read so far.
    readable: Arc<AtomicBool>,
}

/// What a read of an object brought.
pub enum Got {
    /// Its bytes.
    Object(Object),
    /// They are still those that `etag` names.
    Unchanged,
}

impl S3Objects {
    /// Over a client.
    pub fn new(client: Client) -> Self {
        Self { client, readable: Arc::default() }
    }

    /// The whole object, of at most `limit` bytes, unless it still is what `known` names.
    pub async fn get_unless(&self, locator: &Locator, limit: u64, known: Option<&str>) -> Result<Got, ObjectsError> {
        let asked = self.client.get_object().bucket(&locator.bucket).key(&locator.key);
        let answer = match asked.set_if_none_match(known.map(str::to_owned)).send().await {
            Ok(answer) => answer,
            Err(error) => {
                let fault = fault(&format!("GetObject from {}", locator.bucket), &error);
                return if fault.status == Some(304) { Ok(Got::Unchanged) } else { Err(self.refused(fault)) };
            }
        };
        self.readable.store(true, Ordering::Relaxed);
        let size = answer.content_length.and_then(|length| u64::try_from(length).ok()).unwrap_or(0);
        if size > limit {
            return Err(too_large(size, limit));
        }
        let (etag, modified_ms) = (etag(&answer), modified_ms(&answer));
        let bytes = read(answer, limit).await?.ok_or_else(|| too_large(limit + 1, limit))?;
        if bytes.is_empty() {
            return Err(empty());
        }
        Ok(Got::Object(Object { size: bytes.len() as u64, bytes, etag, modified_ms }))
    }

    /// Missing, forbidden, archived: this object alone. Everything else is for everybody.
    fn refused(&self, fault: Fault) -> ObjectsError {
        let reject = |reason, detail: &str| ObjectsError::Rejected(Rejection::new(reason, detail));
        match (fault.code.as_deref(), fault.status) {
            (Some("NoSuchBucket"), _) => {}
            (Some("NoSuchKey" | "NoSuchVersion"), _) | (_, Some(404)) => {
                return reject(RejectReason::Missing, "the object is not there");
            }
            (Some("InvalidObjectState"), _) => {
                return reject(RejectReason::Unreadable, "the object is archived: restore it first");
            }
            // Where nothing at all can be read a policy is wrong, and a person must mend it; one object among others that
            // can be read has a policy or a key of its own.
            (Some("AccessDenied") | None, Some(403)) if self.readable.load(Ordering::Relaxed) => {
                return reject(RejectReason::Unreadable, "no permission to read the object");
            }
            // A bad request for this key: S3 will never say anything else.
            _ if fault.class == Class::Poison => return reject(RejectReason::Unreadable, &fault.message),
            _ => {}
        }
        ObjectsError::Failed { class: fault.class, message: fault.message }
    }
}

fn empty() -> ObjectsError {
    ObjectsError::Rejected(Rejection::new(RejectReason::Empty, "the object has no bytes"))
}

fn too_large(size: u64, limit: u64) -> ObjectsError {
    let detail = format!("{size} bytes or more, allowed are {limit}");
    ObjectsError::Rejected(Rejection::new(RejectReason::TooManyBytes, detail))
}

/// Names these bytes: the etag, with the version where the bucket keeps versions.
fn etag(answer: &GetObjectOutput) -> String {
    let etag = answer.e_tag().unwrap_or_default().trim_matches('"');
    match answer.version_id().filter(|version| *version != "null") {
        Some(version) => format!("{etag}@{version}"),
        None => etag.to_owned(),
    }
}

/// When S3 took these bytes.
fn modified_ms(answer: &GetObjectOutput) -> Option<i64> {
    answer.last_modified()?.to_millis().ok()
}

/// The body, of at most `limit` bytes; `None` where it is longer.
async fn read(mut answer: GetObjectOutput, limit: u64) -> Result<Option<Bytes>, ObjectsError> {
    let mut bytes = BytesMut::new();
    let broken = |error: aws_sdk_s3::primitives::ByteStreamError| ObjectsError::Failed {
        class: Class::Transient,
        message: format!("GetObject: the body ends early: {error}"),
    };
    while let Some(part) = answer.body.try_next().await.map_err(broken)? {
        if bytes.len() as u64 + part.len() as u64 > limit {
            return Ok(None);
        }
        bytes.extend_from_slice(&part);
    }
    Ok(Some(bytes.freeze()))
}

#[async_trait]
impl Objects for S3Objects {
    async fn get(&self, locator: &Locator, limit: u64) -> Result<Object, ObjectsError> {
        match self.get_unless(locator, limit, None).await? {
            Got::Object(object) => Ok(object),
            Got::Unchanged => {
                Err(ObjectsError::Failed { class: Class::Transient, message: "GetObject: 304 unasked".to_owned() })
            }
        }
    }

    async fn head(&self, locator: &Locator, bytes: u64) -> Result<Object, ObjectsError> {
        let range = format!("bytes=0-{}", bytes.max(1) - 1);
        let asked = self.client.get_object().bucket(&locator.bucket).key(&locator.key).range(range);
        let mut answer = match asked.send().await {
            Ok(answer) => answer,
            Err(error) => {
                let fault = fault(&format!("GetObject from {}", locator.bucket), &error);
                // There is no first byte.
                if fault.status == Some(416) {
                    return Err(empty());
                }
                return Err(self.refused(fault));
            }
        };
        self.readable.store(true, Ordering::Relaxed);
        let length = answer.content_length.and_then(|length| u64::try_from(length).ok()).unwrap_or(0);
        let total = answer.content_range().and_then(|range| range.rsplit('/').next()?.parse().ok());
        let (etag, modified_ms) = (etag(&answer), modified_ms(&answer));
        // A server that ignores the range sends everything: the rest is not read.
        let mut head = BytesMut::new();
        while (head.len() as u64) < bytes {
            match answer.body.try_next().await {
                Ok(Some(part)) => head.extend_from_slice(&part),
                Ok(None) => break,
                Err(error) => {
                    let message = format!("GetObject: the body ends early: {error}");
                    return Err(ObjectsError::Failed { class: Class::Transient, message });
                }
            }
        }
        if head.is_empty() {
            return Err(empty());
        }
        head.truncate(usize::try_from(bytes).unwrap_or(usize::MAX));
        Ok(Object { bytes: head.freeze(), size: total.unwrap_or(length), etag, modified_ms })
    }
}

/// Writes objects of one bucket.
#[derive(Clone, Debug)]
pub struct S3Bucket {
    pub(super) client: Client,
    pub(super) bucket: String,
    pub(super) kms_key: Option<String>,
}

/// On which condition an object is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum When {
    /// On none.
    Always,
    /// It is not there.
    Absent,
    /// It still is what this etag names.
    Unchanged(String),
}

impl S3Bucket {
    /// Objects are encrypted with `kms_key`, where it is not empty, else as the bucket says.
    pub fn new(client: Client, bucket: &str, kms_key: &str) -> Self {
        Self { client, bucket: bucket.to_owned(), kms_key: (!kms_key.is_empty()).then(|| kms_key.to_owned()) }
    }

    /// What the bucket is called.
    pub fn name(&self) -> &str {
        &self.bucket
    }

    /// Writes an object; whether the condition held.
    pub async fn put(
        &self,
        key: &str,
        bytes: Bytes,
        content_type: &str,
        note: Option<Note>,
        when: When,
    ) -> Result<bool, Fault> {
        let mut asked = self
            .client
            .put_object()
            .bucket(&self.bucket)
            .key(key)
            .body(bytes.into())
            .content_type(content_type)
            .checksum_algorithm(ChecksumAlgorithm::Sha256);
        if let Some(key) = &self.kms_key {
            asked = asked.server_side_encryption(ServerSideEncryption::AwsKms).ssekms_key_id(key);
        }
        asked = match note {
            Some(Note::Generation(generation)) => asked.metadata(GENERATION, generation.to_string()),
            Some(Note::Image(image)) => asked.metadata(IMAGE, image.to_string()),
            None => asked,
        };
        asked = match when {
            When::Always => asked,
            When::Absent => asked.if_none_match("*"),
            When::Unchanged(etag) => asked.if_match(etag),
        };
        match asked.send().await {
            Ok(_) => Ok(true),
            Err(error) => match fault(&format!("PutObject to {}", self.bucket), &error) {
                // 409: somebody else's conditional write is on its way.
                Fault { status: Some(409 | 412), .. } => Ok(false),
                // It was to be unchanged and is gone.
                Fault { status: Some(404), code: Some(code), .. } if code == "NoSuchKey" => Ok(false),
                fault => Err(fault),
            },
        }
    }

    /// Which image an object is of, where it is there; `None` inside where it does not say.
    pub async fn image(&self, key: &str) -> Result<Option<Option<ImageId>>, Fault> {
        let of = |metadata: &HashMap<String, String>| metadata.get(IMAGE)?.parse().ok();
        Ok(self.look(key).await?.map(|answer| answer.metadata().and_then(of)))
    }

    /// Etag and generation of an object, where it is there.
    pub async fn generation(&self, key: &str) -> Result<Option<(String, u64)>, Fault> {
        Ok(self.look(key).await?.map(|answer| {
            let generation = answer.metadata().and_then(|metadata| metadata.get(GENERATION)?.parse().ok());
            (answer.e_tag().unwrap_or_default().to_owned(), generation.unwrap_or(0))
        }))
    }

    async fn look(&self, key: &str) -> Result<Option<HeadObjectOutput>, Fault> {
        match self.client.head_object().bucket(&self.bucket).key(key).send().await {
            Ok(answer) => Ok(Some(answer)),
            Err(error) => match fault(&format!("HeadObject in {}", self.bucket), &error) {
                Fault { status: Some(404), .. } => Ok(None),
                fault => Err(fault),
            },
        }
    }
}

/// What an object's metadata says of it.
#[derive(Clone, Copy, Debug)]
pub enum Note {
    /// The gallery's generation that it was made from.
    Generation(u64),
    /// The image that it is made from.
    Image(ImageId),
}

const GENERATION: &str = "generation";
const IMAGE: &str = "image";
