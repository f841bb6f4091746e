//! The queue of work, whose messages are leased.

use std::time::Duration;

use async_trait::async_trait;

use crate::domain::image::Rejection;
use crate::errors::Class;
use crate::errors::class::Classified;
use crate::ports::releases::Receive;

/// The name of one receipt of one message. A later receipt of the same message has another handle.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Handle(pub String);

/// One received message, leased to us until its visibility timeout ends.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// Handle by which this receipt is settled.
    pub handle: Handle,
    /// Id of the message, the same in all its receives.
    pub message: String,
    /// The message as it came: JSON.
    pub body: String,
    /// Number of receives, this one included.
    pub receive_count: u32,
    /// Trace header, where the sender set one.
    pub trace: Option<String>,
    /// Time since it was sent, where the queue says.
    pub waited: Option<Duration>,
}

impl Delivery {
    /// Returns which receive of which message this is.
    pub fn receive(&self) -> Receive {
        Receive { message: self.message.clone(), number: self.receive_count }
    }
}

/// The result of a receive.
#[derive(Clone, Debug, Default)]
pub struct Received {
    /// Messages, at most as many as were asked for.
    pub deliveries: Vec<Delivery>,
    /// Whether nothing more will ever come, as with a scanned folder, and never with SQS.
    pub finished: bool,
}

/// The outcome of settling or sending one message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SettleOutcome {
    /// It was done.
    Done,
    /// The lease had already ended; nothing was changed.
    LeaseLost,
    /// It was not done and may be tried again.
    Failed(Class),
}

/// Error of a queue call as a whole.
#[derive(Debug, Clone, thiserror::Error)]
#[error("queue: {message}")]
pub struct QueueError {
    /// Class of the error.
    pub class: Class,
    /// Message for a person.
    pub message: String,
}

impl Classified for QueueError {
    fn class(&self) -> Class {
        self.class
    }
}

/// A source of leased messages. Batch calls return one [`SettleOutcome`] for each handle, in order.
#[async_trait]
pub trait Queue: Send + Sync {
    /// Returns how long a lease lasts after a receive or an extend.
    fn visibility(&self) -> Duration;
    /// Receives up to `max` messages; waits a while (long poll) when there are none.
    ///
    /// # Errors
    /// The call failed; no message was received, or those that were come again when their leases
    /// end.
    async fn receive(&self, max: usize) -> Result<Received, QueueError>;
    /// Extends leases to a full visibility timeout from now.
    ///
    /// # Errors
    /// The call failed as a whole; any lease may have been extended.
    async fn extend(&self, handles: &[Handle]) -> Result<Vec<SettleOutcome>, QueueError>;
    /// Deletes messages whose work is stored.
    ///
    /// # Errors
    /// The call failed as a whole; any message may have been deleted.
    async fn ack(&self, handles: &[Handle]) -> Result<Vec<SettleOutcome>, QueueError>;
    /// Gives messages back, visible again after `delay`.
    ///
    /// # Errors
    /// The call failed as a whole; any message may have been released.
    async fn release(&self, handles: &[Handle], delay: Duration) -> Result<Vec<SettleOutcome>, QueueError>;
    /// Sends messages to the dead-letter queue with their reason, then deletes them.
    ///
    /// # Errors
    /// The call failed as a whole; any message may have been sent and deleted.
    async fn reject(&self, entries: &[(Handle, Rejection)]) -> Result<Vec<SettleOutcome>, QueueError>;
}
