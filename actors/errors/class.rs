//! What went wrong, as every adapter's `classify.rs` says it.

use std::time::Duration;

use serde::Serialize;

use crate::domain::exit::Remedy;

/// The class of an error. Adapters map their own errors to one of these; the router says what follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// Will likely pass: timeout, 5xx, a new primary.
    Transient,
    /// We ask too fast. The stage brakes; costs the item no attempt.
    Throttled {
        /// What the dependency asked us to wait, if it did.
        retry_after: Option<Duration>,
    },
    /// The device ran out of memory.
    Overload,
    /// This item can never succeed.
    Poison,
    /// Received again and again without an end.
    Suspect,
    /// The lease expired or its handle is stale.
    LeaseLost,
    /// A dependency is down for everybody.
    DependencyDown,
    /// The model or its thread is broken.
    Engine,
    /// The machine is broken.
    HostFault,
    /// No progress past the watchdog.
    Hang,
    /// Settings, permissions or models are wrong; a person must mend them.
    Misconfigured(Remedy),
    /// A panic or a broken invariant of ours.
    Bug,
}

impl Class {
    /// Whether it may go away by itself: then nobody need mend anything.
    pub fn passes(self) -> bool {
        match self {
            Self::Transient | Self::Throttled { .. } | Self::DependencyDown | Self::LeaseLost => true,
            Self::Overload
            | Self::Poison
            | Self::Suspect
            | Self::Engine
            | Self::HostFault
            | Self::Hang
            | Self::Misconfigured(_)
            | Self::Bug => false,
        }
    }
}

/// An error that knows its class.
pub trait Classified {
    /// The class of this error.
    fn class(&self) -> Class;
}
