//! A queue that messages are sent to.

use std::time::Duration;

use async_trait::async_trait;

use super::queue::{QueueError, Settled};

/// A message to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// What it says.
    pub body: String,
    /// Trace header of what it follows from.
    pub trace: Option<String>,
    /// Nobody receives it before (whole seconds, SQS: 900 at most).
    pub delay: Duration,
}

/// Where messages go.
#[async_trait]
pub trait Outbox: Send + Sync {
    /// Sends letters; one outcome a letter, in order. What is [`Settled::Done`] is durable; what is not may have been sent.
    async fn send(&self, letters: &[Letter]) -> Result<Vec<Settled>, QueueError>;
}
