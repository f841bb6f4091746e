//! The metrics of a queue that a scaler needs: its depth, and the rate of its workers.

use async_trait::async_trait;
use serde::Serialize;

use crate::errors::Class;
use crate::errors::class::Classified;

/// The number of messages in a queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Depth {
    /// Messages that can be received now.
    pub visible: u64,
    /// Messages that become visible later.
    pub delayed: u64,
    /// Messages that a worker has received and not settled.
    pub in_flight: u64,
}

impl Depth {
    /// Returns the number of all messages.
    pub fn total(self) -> u64 {
        self.visible + self.delayed + self.in_flight
    }
}

/// Error of a measurement.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct QueueMetricsError {
    /// Class of the error.
    pub class: Class,
    /// Message for a person.
    pub message: String,
}

impl Classified for QueueMetricsError {
    fn class(&self) -> Class {
        self.class
    }
}

/// Measures the depth of a queue and the rate at which it is worked off.
#[async_trait]
pub trait QueueMetrics: Send + Sync {
    /// Reads the depth of the queue.
    ///
    /// # Errors
    /// The queue cannot be read.
    async fn depth(&self) -> Result<Depth, QueueMetricsError>;
    /// Reads the messages a second of a busy worker in the recent past; `None` where it is unknown.
    async fn rate(&self) -> Option<f64>;
}
