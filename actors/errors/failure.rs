//! One shape for the errors of all ports, so that one loop can retry them.

use std::time::Duration;

use crate::domain::image::Rejection;
use crate::errors::class::Class;

/// A port call failed: its class, a sentence, and the rejection where the item itself is at fault.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Failure {
    /// The class.
    pub class: Class,
    /// For a person.
    pub message: String,
    /// Why the item can never succeed, when that is so.
    pub rejection: Option<Rejection>,
}

impl Failure {
    /// A call that took longer than it may: transient.
    pub(crate) fn timeout(what: &str, limit: Duration) -> Self {
        Self { class: Class::Transient, message: format!("{what} took longer than {limit:?}"), rejection: None }
    }
}
