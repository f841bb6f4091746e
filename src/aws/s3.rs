//! Implements the port `Objects` with S3, and writes results and crops there.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use aws_sdk_s3::Client;
use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::types::{ChecksumAlgorithm, ServerSideEncryption};
use bytes::{Bytes, BytesMut};
use muster_actors::domain::image::{ImageId, Locator};
use muster_actors::errors::Class;
use muster_actors::ports::objects::{Object, Objects, ObjectsError};

use super::classify::{Fault, fault};
use super::permission_history::PermissionHistory;
use super::read_history::{ReadHistory, RefusalCause};
use super::refusal::{empty, judge, too_large};

/// Reads objects by locator.
#[derive(Clone, Debug)]
pub struct S3Objects {
    client: Client,
    /// Bucket in the settings; empty where none is set.
    configured: String,
    history: Arc<ReadHistory>,
}

/// The result of a conditional read.
pub enum Got {
    /// The object was read.
    Object(Object),
    /// The object still has the caller's etag.
    Unchanged,
}

impl S3Objects {
    /// Creates a reader over a client. An error of the bucket `configured` is a fault of the settings; an error of
    /// another bucket is a fault of the message that names it. If `configured` is empty every bucket counts as
    /// configured.
    pub fn new(client: Client, configured: &str) -> Self {
        Self { client, configured: configured.to_owned(), history: Arc::default() }
    }

    /// Reads an object of at most `limit` bytes, unless it still has the etag `known`.
    ///
    /// # Errors
    /// [`ObjectsError::Rejected`] when the object is missing, unreadable, empty or larger than `limit`;
    /// [`ObjectsError::Failed`] when S3 fails.
    pub async fn get_unless(&self, locator: &Locator, limit: u64, known: Option<&str>) -> Result<Got, ObjectsError> {
        let asked = self.client.get_object().bucket(&locator.bucket).key(&locator.key);
        let begun = self.history.begin();
        let answer = match asked.set_if_none_match(known.map(str::to_owned)).send().await {
            Ok(answer) => answer,
            Err(error) => {
                let fault = fault(&format!("GetObject from {}", locator.bucket), &error);
                if fault.status != Some(304) {
                    return Err(self.refused(locator, begun, fault).await);
                }
                self.history.read(&locator.bucket, &locator.key, begun);
                return Ok(Got::Unchanged);
            }
        };
        self.history.read(&locator.bucket, &locator.key, begun);
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

    async fn refused(&self, locator: &Locator, begun: u64, fault: Fault) -> ObjectsError {
        let Locator { bucket, key, .. } = locator;
        let is_configured = self.configured.is_empty() || self.configured == *bucket;
        let mut cause = None;
        let error = judge(fault, is_configured, || *cause.insert(self.history.refused(bucket, key, begun)));
        if cause == Some(RefusalCause::Unknown) {
            self.try_another(bucket, key).await;
        }
        error
    }

    /// Reads one byte of an object that could be read before, to find out whether only `key` is refused, at times when
    /// nothing else is being read.
    async fn try_another(&self, bucket: &str, key: &str) {
        let Some(other) = self.history.readable(bucket).filter(|other| other != key) else { return };
        let begun = self.history.begin();
        let answer = self.client.get_object().bucket(bucket).key(&other).range("bytes=0-0").send().await;
        match answer.map_err(|error| fault("GetObject", &error)) {
            Ok(_) => self.history.read(bucket, &other, begun),
            Err(Fault { class: Class::Misconfigured(_), .. }) => {
                self.history.refused(bucket, &other, begun);
            }
            Err(_) => {}
        }
    }
}

/// Returns a name for the bytes of an object: the etag, with the version if the bucket keeps versions.
fn etag(answer: &GetObjectOutput) -> String {
    let etag = answer.e_tag().unwrap_or_default().trim_matches('"');
    match answer.version_id().filter(|version| *version != "null") {
        Some(version) => format!("{etag}@{version}"),
        None => etag.to_owned(),
    }
}

/// Returns the time at which S3 stored these bytes.
fn modified_ms(answer: &GetObjectOutput) -> Option<i64> {
    answer.last_modified()?.to_millis().ok()
}

/// Reads a body of at most `limit` bytes; `None` where it is longer.
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
        let begun = self.history.begin();
        let mut answer = match asked.send().await {
            Ok(answer) => answer,
            Err(error) => {
                let fault = fault(&format!("GetObject from {}", locator.bucket), &error);
                // The object has no first byte.
                if fault.status == Some(416) {
                    return Err(empty());
                }
                return Err(self.refused(locator, begun, fault).await);
            }
        };
        self.history.read(&locator.bucket, &locator.key, begun);
        let length = answer.content_length.and_then(|length| u64::try_from(length).ok()).unwrap_or(0);
        let total = answer.content_range().and_then(|range| range.rsplit('/').next()?.parse().ok());
        let (etag, modified_ms) = (etag(&answer), modified_ms(&answer));
        // A server that ignores the range sends the whole object; the rest is not read.
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

/// A writer of objects in one bucket.
#[derive(Clone, Debug)]
pub struct S3Bucket {
    pub(super) client: Client,
    pub(super) bucket: String,
    pub(super) kms_key: Option<String>,
    reads: PermissionHistory,
    writes: PermissionHistory,
}

/// The condition under which an object is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum When {
    /// The object is written without a condition.
    Always,
    /// The object does not exist.
    Absent,
    /// The object still has this etag.
    Unchanged(String),
}

impl S3Bucket {
    /// Creates a writer. Objects are encrypted with `kms_key` if it is not empty, otherwise by the bucket's default.
    pub fn new(client: Client, bucket: &str, kms_key: &str) -> Self {
        let kms_key = (!kms_key.is_empty()).then(|| kms_key.to_owned());
        Self {
            client,
            bucket: bucket.to_owned(),
            kms_key,
            reads: PermissionHistory::default(),
            writes: PermissionHistory::default(),
        }
    }

    /// Returns the name of the bucket.
    pub fn name(&self) -> &str {
        &self.bucket
    }

    /// Writes an object, and tells whether the condition was met. Without a condition the answer is always true.
    ///
    /// # Errors
    /// [`Fault`] when S3 fails.
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
        asked = match &when {
            When::Always => asked,
            When::Absent => asked.if_none_match("*"),
            When::Unchanged(etag) => asked.if_match(etag),
        };
        match asked.send().await {
            Ok(_) => {
                self.writes.succeeded();
                Ok(true)
            }
            Err(error) => {
                let fault = fault(&format!("PutObject to {}", self.bucket), &error);
                if is_overtaken(&fault, &when) { Ok(false) } else { Err(self.writes.judge(fault)) }
            }
        }
    }

    /// Reads from which image an object was made: `None` where there is no object, and `Some(None)` where its metadata
    /// name no image.
    ///
    /// # Errors
    /// [`Fault`] when S3 fails.
    pub async fn image(&self, key: &str) -> Result<Option<Option<ImageId>>, Fault> {
        let of = |metadata: &HashMap<String, String>| metadata.get(IMAGE)?.parse().ok();
        Ok(self.look(key).await?.map(|answer| answer.metadata().and_then(of)))
    }

    /// Reads etag and generation of an object; `None` where it does not exist.
    ///
    /// # Errors
    /// [`Fault`] when S3 fails.
    pub async fn generation(&self, key: &str) -> Result<Option<(String, u64)>, Fault> {
        Ok(self.look(key).await?.map(|answer| {
            let generation = answer.metadata().and_then(|metadata| metadata.get(GENERATION)?.parse().ok());
            (answer.e_tag().unwrap_or_default().to_owned(), generation.unwrap_or(0))
        }))
    }

    async fn look(&self, key: &str) -> Result<Option<HeadObjectOutput>, Fault> {
        match self.client.head_object().bucket(&self.bucket).key(key).send().await {
            Ok(answer) => {
                self.reads.succeeded();
                Ok(Some(answer))
            }
            Err(error) => match fault(&format!("HeadObject in {}", self.bucket), &error) {
                Fault { status: Some(404), .. } => Ok(None),
                fault => Err(self.reads.judge(fault)),
            },
        }
    }
}

/// Tells whether a write failed because its condition was not met. A failed write without a condition is retried.
fn is_overtaken(fault: &Fault, when: &When) -> bool {
    match (when, fault.status, fault.code.as_deref()) {
        (When::Always, ..) => false,
        // Status 409 means that another conditional write is in progress.
        (When::Absent | When::Unchanged(_), Some(409 | 412), _) => true,
        // The object should be unchanged, and is gone.
        (When::Unchanged(_), Some(404), Some("NoSuchKey")) => true,
        (When::Absent | When::Unchanged(_), ..) => false,
    }
}

/// Metadata that is written with an object.
#[derive(Clone, Copy, Debug)]
pub enum Note {
    /// Generation of the gallery from which the object was made.
    Generation(u64),
    /// Image from which the object was made.
    Image(ImageId),
}

const GENERATION: &str = "generation";
const IMAGE: &str = "image";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_write_with_a_condition_can_be_overtaken() {
        let unchanged = When::Unchanged("etag".to_owned());
        for (when, status, code, expected) in [
            (&When::Always, 409, Some("OperationAborted"), false),
            (&When::Always, 409, Some("ConditionalRequestConflict"), false),
            (&When::Always, 412, Some("PreconditionFailed"), false),
            (&When::Always, 404, Some("NoSuchKey"), false),
            (&When::Absent, 409, Some("ConditionalRequestConflict"), true),
            (&When::Absent, 412, Some("PreconditionFailed"), true),
            (&When::Absent, 404, Some("NoSuchBucket"), false),
            (&When::Absent, 503, Some("SlowDown"), false),
            (&unchanged, 412, None, true),
            (&unchanged, 404, Some("NoSuchKey"), true),
            (&unchanged, 404, Some("NoSuchBucket"), false),
            (&unchanged, 403, Some("AccessDenied"), false),
        ] {
            let fault = Fault {
                class: Class::Transient,
                code: code.map(str::to_owned),
                status: Some(status),
                message: String::new(),
            };
            assert_eq!(is_overtaken(&fault, when), expected, "{when:?} {status} {code:?}");
        }
    }
}
