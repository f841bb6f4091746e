//! Converts the errors of the ports to [`Failure`], so that one loop can retry them all.

use crate::errors::Failure;
use crate::errors::class::Classified;
use crate::ports::faces::FacesError;
use crate::ports::index::IndexError;
use crate::ports::objects::ObjectsError;
use crate::ports::queue::QueueError;
use crate::ports::releases::ReleasesError;

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

/// Converts errors that carry no rejection of their own.
macro_rules! plain {
    ($($error:ty),*) => {$(
        impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                Self { class: error.class(), message: error.to_string(), rejection: None }
            }
        }
    )*};
}
plain!(QueueError, ReleasesError, IndexError);
