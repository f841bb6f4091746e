//! Refusals by Amazon's services: a policy or a key that breaks in the middle of a run, or an overloaded service.

use std::time::Duration;

use crate::domain::exit::Remedy;
use crate::errors::Class;

/// A call that may be refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusedCall {
    /// GetObject of an image.
    Get,
    /// PutObject of a crop.
    Put,
    /// SendMessage of a wake-up.
    Send,
}

/// An error of S3 or SQS, as its reference lists it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalAnswer {
    /// A policy does not allow it.
    AccessDenied,
    /// Somebody disabled the key.
    KmsDisabled,
    /// Somebody deleted the key.
    KmsNotFound,
    /// Too many requests.
    SlowDown,
    /// A fault of the service.
    InternalError,
    /// Others write to the same key.
    Conflict,
}

impl RefusalAnswer {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::AccessDenied, Self::KmsDisabled, Self::KmsNotFound, Self::SlowDown, Self::InternalError, Self::Conflict];

    /// The error's code.
    pub fn code(self) -> &'static str {
        match self {
            Self::AccessDenied => "AccessDenied",
            Self::KmsDisabled => "KMS.DisabledException",
            Self::KmsNotFound => "KMS.NotFoundException",
            Self::SlowDown => "SlowDown",
            Self::InternalError => "InternalError",
            Self::Conflict => "OperationAborted",
        }
    }

    /// What an adapter must make of it: it is never the fault of the image that was asked for.
    pub fn class(self) -> Class {
        match self {
            Self::AccessDenied | Self::KmsDisabled | Self::KmsNotFound => Class::Misconfigured(Remedy::Permission),
            Self::SlowDown => Class::Throttled { retry_after: None },
            Self::InternalError | Self::Conflict => Class::Transient,
        }
    }
}

/// For a while calls of one kind are refused.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Refusal {
    /// Which.
    pub asked: RefusedCall,
    /// What they are answered.
    pub answer: RefusalAnswer,
    /// Since when: before, they succeed.
    pub from: Duration,
    /// For how long.
    pub length: Duration,
    /// How many of them.
    pub share: f64,
}

impl Refusal {
    /// Whether a call of this kind may be refused now.
    pub(super) fn strikes(&self, asked: RefusedCall, now: Duration) -> bool {
        self.asked == asked && now >= self.from && now < self.from + self.length
    }
}
