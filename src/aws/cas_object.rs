//! A value in S3 that is written by compare-and-swap: a write succeeds only if the object is still the one that its
//! writer has read.

use async_trait::async_trait;
use aws_sdk_s3::operation::put_object::builders::PutObjectFluentBuilder;
use aws_sdk_s3::types::ServerSideEncryption;
use muster_actors::errors::Class;
use muster_actors::ports::cas_object::{CasError, CasObject, CasValue, CasVersion};

use super::classify::{Fault, fault};
use super::s3::S3Bucket;

/// Largest value in bytes.
const LIMIT: usize = 4 << 20;

/// An object of S3 as a [`CasObject`].
#[derive(Clone, Debug)]
pub struct S3CasObject {
    bucket: S3Bucket,
    key: String,
}

impl S3CasObject {
    /// Creates a value in the object `key`, which need not exist.
    pub fn new(bucket: S3Bucket, key: &str) -> Self {
        Self { bucket, key: key.to_owned() }
    }

    fn put(&self, bytes: Vec<u8>) -> PutObjectFluentBuilder {
        let S3Bucket { client, bucket, kms_key, .. } = &self.bucket;
        let asked = client.put_object().bucket(bucket).key(&self.key).body(bytes.into());
        match kms_key {
            Some(key) => asked.server_side_encryption(ServerSideEncryption::AwsKms).ssekms_key_id(key),
            None => asked,
        }
        .content_type("application/json")
    }
}

fn failed(Fault { class, message, .. }: Fault) -> CasError {
    CasError::Failed { class, message }
}

fn broken(message: String) -> CasError {
    CasError::Failed { class: Class::Transient, message }
}

#[async_trait]
impl CasObject for S3CasObject {
    async fn read(&self) -> Result<Option<CasValue>, CasError> {
        let S3Bucket { client, bucket, .. } = &self.bucket;
        let mut answer = match client.get_object().bucket(bucket).key(&self.key).send().await {
            Ok(answer) => answer,
            Err(error) => {
                return match fault(&format!("GetObject from {bucket}"), &error) {
                    Fault { code: Some(code), .. } if code == "NoSuchKey" => Ok(None),
                    fault => Err(failed(fault)),
                };
            }
        };
        let version = answer.e_tag().unwrap_or_default().to_owned();
        let mut bytes = Vec::new();
        while let Some(part) =
            answer.body.try_next().await.map_err(|error| broken(format!("GetObject: the body ends early: {error}")))?
        {
            if bytes.len() + part.len() > LIMIT {
                let message = format!("{}: more than {LIMIT} bytes are no state of muster's", self.key);
                return Err(CasError::Failed { class: Class::Poison, message });
            }
            bytes.extend_from_slice(&part);
        }
        Ok(Some(CasValue { bytes, version: CasVersion(version) }))
    }

    async fn swap(&self, expected: Option<&CasVersion>, bytes: Vec<u8>) -> Result<CasVersion, CasError> {
        let asked = match expected {
            Some(CasVersion(etag)) => self.put(bytes).if_match(etag),
            None => self.put(bytes).if_none_match("*"),
        };
        match asked.send().await {
            Ok(answer) => Ok(CasVersion(answer.e_tag().unwrap_or_default().to_owned())),
            Err(error) => match fault(&format!("PutObject to {}", self.bucket.bucket), &error) {
                // Status 409 means that another conditional write is in progress, 404 that the expected object is gone.
                Fault { status: Some(409 | 412), .. } => Err(CasError::Changed),
                Fault { code: Some(code), .. } if code == "NoSuchKey" => Err(CasError::Changed),
                fault => Err(failed(fault)),
            },
        }
    }
}
