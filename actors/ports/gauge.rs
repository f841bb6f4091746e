//! What a scaler measures.

use async_trait::async_trait;

use crate::error::{Class, class::Classified};
use crate::scaler::policy::Depth;

/// A measurement failed.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct GaugeError {
    /// Its class.
    pub class: Class,
    /// For a person.
    pub message: String,
}

impl Classified for GaugeError {
    fn class(&self) -> Class {
        self.class
    }
}

/// Reads what waits, and how fast it is done.
#[async_trait]
pub trait Gauge: Send + Sync {
    /// What waits in the queue.
    async fn depth(&self) -> Result<Depth, GaugeError>;
    /// Messages a second that a busy worker does, of late; `None` where nobody knows.
    async fn rate(&self) -> Option<f64>;
}
