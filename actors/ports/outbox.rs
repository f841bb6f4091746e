//! The queue to which messages are sent.

use std::time::Duration;

use async_trait::async_trait;

use super::queue::{QueueError, SettleOutcome};

/// A message that is to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboundMessage {
    /// Body of the message.
    pub body: String,
    /// Trace header of the work that causes it.
    pub trace: Option<String>,
    /// Time before it can be received (whole seconds, at most 900 in SQS).
    pub delay: Duration,
}

/// A queue to which messages can be sent.
#[async_trait]
pub trait Outbox: Send + Sync {
    /// Sends messages, and returns one outcome for each, in order. A message is durable where the outcome is
    /// [`SettleOutcome::Done`]; with any other outcome it may have been sent as well.
    ///
    /// # Errors
    /// The call failed as a whole; any message may have been sent.
    async fn send(&self, letters: &[OutboundMessage]) -> Result<Vec<SettleOutcome>, QueueError>;
}
