//! Reads parts of objects, and whole objects that are about to be rewritten.

use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::operation::get_object::builders::GetObjectFluentBuilder;
use bytes::{Bytes, BytesMut};
use muster_actors::errors::Class;

use super::classify::{Fault, fault};
use super::s3::S3Bucket;

/// A whole object, with what a conditional write of it needs.
#[derive(Clone, Debug)]
pub struct WholeObject {
    /// Bytes of the object.
    pub bytes: Bytes,
    /// Etag, the condition of the write.
    pub etag: String,
    /// Whether the bucket kept versions when the object was written, so that these bytes stay as an old version.
    pub versions_stay: bool,
}

impl S3Bucket {
    /// Reads `length` bytes of an object from `offset` on; `None` where the object does not exist, or ends before.
    ///
    /// # Errors
    /// [`Fault`] when S3 fails, or the answer ends early.
    pub async fn get_range(&self, key: &str, offset: u64, length: u64) -> Result<Option<Bytes>, Fault> {
        if length == 0 {
            return Ok(Some(Bytes::new()));
        }
        let range = format!("bytes={offset}-{}", offset.saturating_add(length - 1));
        let Some(answer) = self.sent(self.client.get_object().key(key).range(range)).await? else { return Ok(None) };
        let is_part = answer.content_range().is_some();
        let bytes = body(answer).await?;
        // A server that ignores the range sends the whole object.
        let start = if is_part { 0 } else { usize::try_from(offset).unwrap_or(usize::MAX) };
        let end = usize::try_from(length).ok().and_then(|length| start.checked_add(length));
        Ok(end.filter(|end| *end <= bytes.len()).map(|end| bytes.slice(start..end)))
    }

    /// Reads a whole object; `None` where it does not exist.
    ///
    /// # Errors
    /// [`Fault`] when S3 fails, or the answer ends early.
    pub async fn get_whole(&self, key: &str) -> Result<Option<WholeObject>, Fault> {
        let Some(answer) = self.sent(self.client.get_object().key(key)).await? else { return Ok(None) };
        let etag = answer.e_tag().unwrap_or_default().to_owned();
        let versions_stay = answer.version_id().is_some_and(|version| version != "null");
        Ok(Some(WholeObject { bytes: body(answer).await?, etag, versions_stay }))
    }

    /// Tells whether an object was written while the bucket kept versions, so that its bytes stay as an old version.
    ///
    /// # Errors
    /// [`Fault`] when S3 fails.
    pub async fn has_version(&self, key: &str) -> Result<bool, Fault> {
        match self.client.head_object().bucket(&self.bucket).key(key).send().await {
            Ok(answer) => Ok(answer.version_id().is_some_and(|version| version != "null")),
            Err(error) => match fault(&format!("HeadObject in {}", self.bucket), &error) {
                Fault { status: Some(404), .. } => Ok(false),
                fault => Err(fault),
            },
        }
    }

    async fn sent(&self, asked: GetObjectFluentBuilder) -> Result<Option<GetObjectOutput>, Fault> {
        match asked.bucket(&self.bucket).send().await {
            Ok(answer) => Ok(Some(answer)),
            Err(error) => match fault(&format!("GetObject from {}", self.bucket), &error) {
                Fault { code: Some(code), .. } if code == "NoSuchKey" => Ok(None),
                Fault { status: Some(416), .. } => Ok(None),
                fault => Err(fault),
            },
        }
    }
}

async fn body(mut answer: GetObjectOutput) -> Result<Bytes, Fault> {
    let mut bytes = BytesMut::new();
    let broken = |error: aws_sdk_s3::primitives::ByteStreamError| Fault {
        class: Class::Transient,
        code: None,
        status: None,
        message: format!("GetObject: the body ends early: {error}"),
    };
    while let Some(part) = answer.body.try_next().await.map_err(broken)? {
        bytes.extend_from_slice(&part);
    }
    Ok(bytes.freeze())
}
