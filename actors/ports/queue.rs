//! Where work comes from, under leases.

use std::time::Duration;

use async_trait::async_trait;

use crate::domain::image::Rejection;
use crate::errors::Class;
use crate::errors::class::Classified;
use crate::ports::releases::Receive;

/// Names one receipt of one message. A later receipt of the same message has another handle.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Handle(pub String);

/// One received message, leased to us until its visibility timeout ends.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// For settling this receipt.
    pub handle: Handle,
    /// Names the message, in all its receives.
    pub message: String,
    /// The message as it came: JSON.
    pub body: String,
    /// How often it has been received, this time included.
    pub receive_count: u32,
    /// Trace header, where the sender set one.
    pub trace: Option<String>,
    /// From when it was sent until now, where the queue says.
    pub waited: Option<Duration>,
}

impl Delivery {
    /// Which receive of which message this is.
    pub fn receive(&self) -> Receive {
        Receive { message: self.message.clone(), number: self.receive_count }
    }
}

/// What came of a receive.
#[derive(Clone, Debug, Default)]
pub struct Received {
    /// At most as many as asked for.
    pub deliveries: Vec<Delivery>,
    /// The queue says it is finished: nothing more will ever come (a scanned folder, not SQS).
    pub finished: bool,
}

/// What came of settling one handle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SettleOutcome {
    /// Done.
    Done,
    /// The lease had already ended; nothing was changed.
    LeaseLost,
    /// Not done; may be tried again.
    Failed(Class),
}

/// A queue call failed as a whole.
#[derive(Debug, Clone, thiserror::Error)]
#[error("queue: {message}")]
pub struct QueueError {
    /// Its class.
    pub class: Class,
    /// For a person.
    pub message: String,
}

impl Classified for QueueError {
    fn class(&self) -> Class {
        self.class
    }
}

/// A source of leased messages. Batch calls answer one [`SettleOutcome`] a handle, in order.
#[async_trait]
pub trait Queue: Send + Sync {
    /// How long a lease lasts after a receive or an extend.
    fn visibility(&self) -> Duration;
    /// Receives up to `max` messages; waits a while (long poll) when there are none.
    async fn receive(&self, max: usize) -> Result<Received, QueueError>;
    /// Extends leases to a full visibility timeout from now.
    async fn extend(&self, handles: &[Handle]) -> Result<Vec<SettleOutcome>, QueueError>;
    /// Deletes messages whose work is stored.
    async fn ack(&self, handles: &[Handle]) -> Result<Vec<SettleOutcome>, QueueError>;
    /// Gives messages back, visible again after `delay`.
    async fn release(&self, handles: &[Handle], delay: Duration) -> Result<Vec<SettleOutcome>, QueueError>;
    /// Sends messages to the dead-letter queue with their reason, then deletes them.
    async fn reject(&self, entries: &[(Handle, Rejection)]) -> Result<Vec<SettleOutcome>, QueueError>;
}
