//! A lease on one image of a received message. It ends exactly once, and what happens to the message follows from how
//! the leases of its images ended. A lease that is dropped gives the message back.

use std::sync::Arc;
use std::time::Duration;

use tracing::Span;

use crate::domain::image::{Locator, Rejection};
use crate::flow::lease_table::{EndedImage, LeaseTable, Outcome};
use crate::flow::run_stats::Done;

/// The claim on one image of one received message. A panic that drops it gives the image back, and the image then
/// counts as one that may have caused the panic.
#[derive(Debug)]
pub(crate) struct Lease {
    table: Arc<LeaseTable>,
    entry: u64,
    locator: Option<Locator>,
    /// Span of the image, open from its receipt to the end of its message.
    span: Span,
    ended: bool,
}

impl Lease {
    /// Creates a lease for an entry of the table; only [`LeaseTable::open`] calls it.
    pub(crate) fn new(table: Arc<LeaseTable>, entry: u64, locator: Option<Locator>) -> Self {
        Self { table, entry, locator, span: Span::none(), ended: false }
    }

    /// Keeps the image's span open until its message is settled.
    pub(crate) fn trace(&mut self, span: Span) {
        self.span = span;
    }

    /// Returns the image's span, the parent of the span of every piece of work on the image.
    pub(crate) fn span(&self) -> &Span {
        &self.span
    }

    fn end(&mut self, end: Outcome) {
        self.ended = true;
        let span = std::mem::replace(&mut self.span, Span::none());
        self.table.end(self.entry, EndedImage { locator: self.locator.take(), end, span });
    }

    /// Ends the lease because the result is stored; the message is deleted.
    pub(crate) fn ack(mut self, done: Done) {
        self.end(Outcome::Ack(done));
    }

    /// Gives the message back, visible again after `delay`, for a reason that has nothing to do with the image.
    pub(crate) fn release(mut self, delay: Duration) {
        self.end(Outcome::Release(delay));
    }

    /// Gives the message back because no work on the image has begun.
    pub(crate) fn hand_back(self) {
        let delay = self.table.drop_delay();
        self.release(delay);
    }

    /// Gives the message back, visible again after `delay`, because something broke, perhaps through this image. The
    /// receive then counts as one without an end.
    pub(crate) fn fail(mut self, delay: Duration) {
        self.end(Outcome::Fail(delay));
    }

    /// Rejects the image: the message goes to the dead-letter queue with the reason, and is then deleted.
    pub(crate) fn reject(mut self, rejection: Rejection) {
        self.end(Outcome::Reject(rejection));
    }

    /// Returns whether the lease is known to have run out, so that another worker may have the image and more work on
    /// it is wasted.
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
