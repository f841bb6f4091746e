//! One shape for the errors of all ports, so that one loop can retry them.

use std::time::Duration;

use crate::domain::image::Rejection;
use crate::errors::class::{Class, Classified};
use crate::ports::{faces::FacesError, index::IndexError, objects::ObjectsError, queue::QueueError};

/// A port call failed: its class, a sentence, and the rejection where the item itself is at fault.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// The class.
    pub class: Class,
    /// For a person.
    pub message: String,
    /// Why the item can never succeed, when that is so.
    pub rejection: Option<Rejection>,
}

impl Failure {
    /// A call that took longer than it may: transient.
    pub fn timeout(what: &str, limit: Duration) -> Self {
        Self { class: Class::Transient, message: format!("{what} took longer than {limit:?}"), rejection: None }
    }
}

impl From<ObjectsError> for Failure {
    fn from(error: ObjectsError) -> Self {
        let (class, message) = (error.class(), error.to_string());
        let rejection = match error {
            ObjectsError::Rejected(rejection) => Some(rejection),
            ObjectsError::Failed { .. } => None,
        };
        Self { class, message, rejection }
    }
}

impl From<FacesError> for Failure {
    fn from(error: FacesError) -> Self {
        let (class, message) = (error.class(), error.to_string());
        let rejection = match error {
            FacesError::Rejected(rejection) => Some(rejection),
            FacesError::Conflict | FacesError::Failed { .. } => None,
        };
        Self { class, message, rejection }
    }
}

/// Errors that carry no rejection of their own.
macro_rules! plain {
    ($($error:ty),*) => {$(
        impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                Self { class: error.class(), message: error.to_string(), rejection: None }
            }
        }
    )*};
}
plain!(QueueError, IndexError);
