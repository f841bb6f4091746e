//! The memory of the receives of messages that ended in a release. A queue counts receives only, so without it a
//! message that was often released would look like one that kills workers.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use parking_lot::Mutex;

use crate::errors::Class;
use crate::errors::class::Classified;

/// One receive of one message.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Receive {
    /// Id of the message, the same in all its receives.
    pub message: String,
    /// Number of the receive, counted from 1.
    pub number: u32,
}

/// Error of noting or counting releases.
#[derive(Debug, Clone, thiserror::Error)]
#[error("releases: {message}")]
pub struct ReleasesError {
    /// Class of the error.
    pub class: Class,
    /// Message for a person.
    pub message: String,
}

impl Classified for ReleasesError {
    fn class(&self) -> Class {
        self.class
    }
}

/// Remembers releases for as long as a queue may deliver a message again.
#[async_trait]
pub trait Releases: Send + Sync {
    /// Notes that these receives ended in a release. Noting a receive again changes nothing.
    ///
    /// # Errors
    /// The call failed; any of the notes may have been written.
    async fn note(&self, receives: &[Receive]) -> Result<(), ReleasesError>;
    /// Counts the noted receives of each message before the given one, in order.
    ///
    /// # Errors
    /// The notes cannot be read.
    async fn count(&self, receives: &[Receive]) -> Result<Vec<u32>, ReleasesError>;
}

/// Keeps the releases of a queue that ends with this process, in memory.
#[derive(Debug, Default)]
pub struct LocalReleases(Mutex<BTreeMap<String, BTreeSet<u32>>>);

impl LocalReleases {
    /// Counts the noted receives before this one.
    pub(crate) fn noted(&self, receive: &Receive) -> u32 {
        let noted = self.0.lock();
        let earlier = noted.get(&receive.message).map_or(0, |noted| noted.range(..receive.number).count());
        u32::try_from(earlier).unwrap_or(u32::MAX)
    }
}

#[async_trait]
impl Releases for LocalReleases {
    async fn note(&self, receives: &[Receive]) -> Result<(), ReleasesError> {
        let mut noted = self.0.lock();
        for Receive { message, number } in receives {
            noted.entry(message.clone()).or_default().insert(*number);
        }
        Ok(())
    }

    async fn count(&self, receives: &[Receive]) -> Result<Vec<u32>, ReleasesError> {
        Ok(receives.iter().map(|receive| self.noted(receive)).collect())
    }
}
