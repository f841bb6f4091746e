//! One value that many read and one at a time changes.

use async_trait::async_trait;

use crate::errors::Class;
use crate::errors::class::Classified;

/// Names one state of the value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CasVersion(pub String);

/// The value, as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CasValue {
    /// What was written last.
    pub bytes: Vec<u8>,
    /// Names it.
    pub version: CasVersion,
}

/// A read or write failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CasError {
    /// Somebody else has written since.
    #[error("somebody else has written meanwhile")]
    Changed,
    /// Something else failed; a write may or may not have happened.
    #[error("{message}")]
    Failed {
        /// Its class.
        class: Class,
        /// For a person.
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

/// A value with a conditional write.
#[async_trait]
pub trait CasObject: Send + Sync {
    /// The value; `None` where nothing was ever written.
    async fn read(&self) -> Result<Option<CasValue>, CasError>;
    /// Writes if the value still is what `expected` names (`None`: if there is none), else [`CasError::Changed`].
    async fn swap(&self, expected: Option<&CasVersion>, bytes: Vec<u8>) -> Result<CasVersion, CasError>;
}

/// Writes as [`CasObject::swap`], and finds out what became of a write whose answer was lost: no two writers may ever write the
/// same bytes.
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
