//! Where the bytes of images come from.

use async_trait::async_trait;
use bytes::Bytes;

use crate::domain::image::{Locator, Rejection};
use crate::errors::Class;
use crate::errors::class::Classified;

/// The bytes of an object, with their version.
#[derive(Clone, Debug)]
pub struct Object {
    /// All bytes, or the head that was asked for.
    pub bytes: Bytes,
    /// Size of the whole object in bytes.
    pub size: u64,
    /// Version of these bytes.
    pub etag: String,
    /// When the store took them, in milliseconds since the start of 1970; `None` where that does not order versions.
    pub modified_ms: Option<i64>,
}

/// Why an object could not be had.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ObjectsError {
    /// This object can never be had: missing, unreadable, too large.
    #[error("{0}")]
    Rejected(Rejection),
    /// Something else failed.
    #[error("objects: {message}")]
    Failed {
        /// Its class.
        class: Class,
        /// For a person.
        message: String,
    },
}

impl Classified for ObjectsError {
    fn class(&self) -> Class {
        match self {
            Self::Rejected(_) => Class::Poison,
            Self::Failed { class, .. } => *class,
        }
    }
}

/// A store of images by locator.
#[async_trait]
pub trait Objects: Send + Sync {
    /// The whole object; rejected when larger than `limit` bytes, before it is read.
    async fn get(&self, locator: &Locator, limit: u64) -> Result<Object, ObjectsError>;
    /// At most the first `bytes` bytes, for the thumbnail in an image's header.
    async fn head(&self, locator: &Locator, bytes: u64) -> Result<Object, ObjectsError>;
}
