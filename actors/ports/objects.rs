//! The source of the bytes of images.

use async_trait::async_trait;
use bytes::Bytes;

use crate::domain::image::{Locator, Rejection};
use crate::errors::Class;
use crate::errors::class::Classified;

/// The bytes of an object, with their version.
#[derive(Clone, Debug)]
pub struct Object {
    /// All bytes, or as much of the head as was asked for.
    pub bytes: Bytes,
    /// Size of the whole object in bytes.
    pub size: u64,
    /// Version of these bytes.
    pub etag: String,
    /// Time at which the store received them, in milliseconds since 1970; `None` where the time does not order
    /// versions.
    pub modified_ms: Option<i64>,
}

/// The reason why an object could not be read.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ObjectsError {
    /// The object can never be read, because it is missing, unreadable or too large.
    #[error("{0}")]
    Rejected(Rejection),
    /// Something else failed.
    #[error("objects: {message}")]
    Failed {
        /// Class of the error.
        class: Class,
        /// Message for a person.
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
    /// Reads the whole object.
    ///
    /// # Errors
    /// [`ObjectsError::Rejected`] when the object is missing, unreadable or larger than `limit` bytes (checked before
    /// it is read); [`ObjectsError::Failed`] when the call failed.
    async fn get(&self, locator: &Locator, limit: u64) -> Result<Object, ObjectsError>;
    /// Reads at most the first `bytes` bytes, which hold the thumbnail in an image's header.
    ///
    /// # Errors
    /// [`ObjectsError::Rejected`] when the object is missing or unreadable; [`ObjectsError::Failed`] when the call
    /// failed.
    async fn head(&self, locator: &Locator, bytes: u64) -> Result<Object, ObjectsError>;
}
