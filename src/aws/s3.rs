//! Images, results and crops in S3.

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
use super::granted::Granted;
use super::read_history::{Cause, ReadHistory};
use super::refusal::{empty, judge, too_large};

/// Objects, read by locator.
#[derive(Clone, Debug)]
pub struct S3Objects {
    client: Client,
    /// The bucket of the settings; empty where they name none.
    configured: String,
    history: Arc<ReadHistory>,
}

/// What a read of an object brought.
pub enum Got {
    /// Its bytes.
    Object(Object),
    /// They are still those that `etag` names.
    Unchanged,
}

impl S3Objects {
    /// Over a client. Only the bucket `configured` can be wrong for everybody, and be a fault of the settings; whoever names
    /// another one is at fault alone where it is not there. Empty where the settings name none: then each counts as configured.
    pub fn new(client: Client, configured: &str) -> Self {
        Self { client, configured: configured.to_owned(), history: Arc::default() }
    }

    /// The whole object, of at most `limit` bytes, unless it still is what `known` names.
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
        if cause == Some(Cause::Unknown) {
            self.try_another(bucket, key).await;
        }
        error
    }

    /// Reads a byte of an object that could be read before: where nobody else reads, nothing else says whether `key` alone is
    /// refused.
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
        let begun = self.history.begin();
        let mut answer = match asked.send().await {
            Ok(answer) => answer,
            Err(error) => {
                let fault = fault(&format!("GetObject from {}", locator.bucket), &error);
                // There is no first byte.
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
    reads: Granted,
    writes: Granted,
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
        let kms_key = (!kms_key.is_empty()).then(|| kms_key.to_owned());
        Self { client, bucket: bucket.to_owned(), kms_key, reads: Granted::default(), writes: Granted::default() }
    }

    /// What the bucket is called.
    pub fn name(&self) -> &str {
        &self.bucket
    }

    /// Writes an object; whether the condition held. Without a condition it is written, or an error says that it is not.
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

/// Whether a write failed because its condition does not hold. One without a condition was not made, and is made again.
fn is_overtaken(fault: &Fault, when: &When) -> bool {
    match (when, fault.status, fault.code.as_deref()) {
        (When::Always, ..) => false,
        // 409: somebody else's conditional write is on its way.
        (When::Absent | When::Unchanged(_), Some(409 | 412), _) => true,
        // It was to be unchanged and is gone.
        (When::Unchanged(_), Some(404), Some("NoSuchKey")) => true,
        (When::Absent | When::Unchanged(_), ..) => false,
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
