//! A shared value that is written by compare-and-swap.

use async_trait::async_trait;

use crate::errors::Class;
use crate::errors::class::Classified;

/// The version of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CasVersion(pub String);

/// A value with its version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CasValue {
    /// The bytes that were written last.
    pub bytes: Vec<u8>,
    /// Version of the value with these bytes.
    pub version: CasVersion,
}

/// Errors of reads and writes.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CasError {
    /// Another writer has changed the value since it was read.
    #[error("another writer has changed the value meanwhile")]
    Changed,
    /// The call failed; a write may or may not have happened.
    #[error("{message}")]
    Failed {
        /// Class of the error.
        class: Class,
        /// Message for a person.
        message: String,
    },
}

impl Classified for CasError {
    fn class(&self) -> Class {
        match self {
            Self::Changed => Class::Transient,
            Self::Failed { class, .. } => *class,
        }
    }
}

/// A value that is written only if it has not changed since it was read.
#[async_trait]
pub trait CasObject: Send + Sync {
    /// Reads the value; `None` where nothing was ever written.
    ///
    /// # Errors
    /// The call failed ([`CasError::Failed`]).
    async fn read(&self) -> Result<Option<CasValue>, CasError>;
    /// Writes the value if it still has the version `expected` (`None`: if there is no value), and returns the new
    /// version.
    ///
    /// # Errors
    /// [`CasError::Changed`] when the value has another version; [`CasError::Failed`] when the call failed, in which
    /// case the write may have happened.
    async fn swap(&self, expected: Option<&CasVersion>, bytes: Vec<u8>) -> Result<CasVersion, CasError>;
}

/// Writes as [`CasObject::swap`] does, and finds out by a read whether a write whose answer was lost has happened. No
/// two writers may write the same bytes.
///
/// # Errors
/// Another writer has changed the value, or a call fails.
pub async fn write(
    cell: &dyn CasObject,
    expected: Option<&CasVersion>,
    bytes: Vec<u8>,
) -> Result<CasVersion, CasError> {
    let error = match cell.swap(expected, bytes.clone()).await {
        Ok(version) => return Ok(version),
        Err(error) => error,
    };
    match cell.read().await? {
        Some(held) if held.bytes == bytes => Ok(held.version),
        _ => Err(error),
    }
}
