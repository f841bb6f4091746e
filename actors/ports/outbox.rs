//! A queue that messages are sent to.

use std::time::Duration;

use async_trait::async_trait;

use super::queue::{QueueError, SettleOutcome};

/// A message to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboundMessage {
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
    /// Sends letters; one outcome a letter, in order. What is [`SettleOutcome::Done`] is durable; what is not may have been sent.
    async fn send(&self, letters: &[OutboundMessage]) -> Result<Vec<SettleOutcome>, QueueError>;
}
