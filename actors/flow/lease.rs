//! A lease ties an item's fate to its message: it ends exactly once, and dropped = released.

use std::sync::Arc;
use std::time::Duration;

use tracing::Span;

use crate::domain::image::{Locator, Rejection};
use crate::flow::lease_table::{EndedImage, LeaseTable, Outcome};
use crate::flow::run_stats::Done;

/// Our claim on one image of one received message. A panic anywhere drops it, which gives the image back, as one that may have
/// caused the panic.
#[derive(Debug)]
pub(crate) struct Lease {
    table: Arc<LeaseTable>,
    entry: u64,
    locator: Option<Locator>,
    /// Of the image from its receipt to the end of its message.
    span: Span,
    ended: bool,
}

impl Lease {
    /// Only the table opens leases.
    pub(crate) fn new(table: Arc<LeaseTable>, entry: u64, locator: Option<Locator>) -> Self {
        Self { table, entry, locator, span: Span::none(), ended: false }
    }

    /// Keeps the image's span open until its message is settled.
    pub(crate) fn trace(&mut self, span: Span) {
        self.span = span;
    }

    /// The image's span: the parent of everything that is done with it.
    pub(crate) fn span(&self) -> &Span {
        &self.span
    }

    fn end(&mut self, end: Outcome) {
        self.ended = true;
        let span = std::mem::replace(&mut self.span, Span::none());
        self.table.end(self.entry, EndedImage { locator: self.locator.take(), end, span });
    }

    /// The result is stored: delete the message.
    pub(crate) fn ack(mut self, done: Done) {
        self.end(Outcome::Ack(done));
    }

    /// Give the message back, visible again after `delay`: nothing that happened speaks against the image.
    pub(crate) fn release(mut self, delay: Duration) {
        self.end(Outcome::Release(delay));
    }

    /// Give the message back because nobody has begun with the image.
    pub(crate) fn hand_back(self) {
        let delay = self.table.drop_delay();
        self.release(delay);
    }

    /// Give the message back, visible again after `delay`: something broke that the image may have broken. The receive counts as one
    /// without an end.
    pub(crate) fn fail(mut self, delay: Duration) {
        self.end(Outcome::Fail(delay));
    }

    /// Dead-letter the message with its reason, then delete it.
    pub(crate) fn reject(mut self, rejection: Rejection) {
        self.end(Outcome::Reject(rejection));
    }

    /// Whether the lease is known to have ended under us: more work on the item is wasted.
    pub(crate) fn lost(&self) -> bool {
        self.table.lost(self.entry)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if !self.ended {
            let outcome = self.table.dropped(std::thread::panicking());
            self.end(outcome);
        }
    }
}
