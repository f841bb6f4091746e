//! What a scaler measures.

use async_trait::async_trait;
use serde::Serialize;

use crate::errors::Class;
use crate::errors::class::Classified;

/// What waits in a queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Depth {
    /// Messages that can be received now.
    pub visible: u64,
    /// Messages that become visible later.
    pub delayed: u64,
    /// Messages that somebody has received.
    pub in_flight: u64,
}

impl Depth {
    /// All of them.
    pub fn total(self) -> u64 {
        self.visible + self.delayed + self.in_flight
    }
}

/// A measurement failed.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct QueueMetricsError {
    /// Its class.
    pub class: Class,
    /// For a person.
    pub message: String,
}

impl Classified for QueueMetricsError {
    fn class(&self) -> Class {
        self.class
    }
}

/// Reads what waits, and how fast it is done.
#[async_trait]
pub trait QueueMetrics: Send + Sync {
    /// What waits in the queue.
    async fn depth(&self) -> Result<Depth, QueueMetricsError>;
    /// Messages a second that a busy worker does, of late; `None` where nobody knows.
    async fn rate(&self) -> Option<f64>;
}
