//! A lease ties an item's fate to its message: it ends exactly once, and dropped = released.

use std::sync::Arc;
use std::time::Duration;

use tracing::Span;

use crate::domain::image::{Locator, Rejection};
use crate::flow::lease_table::{Book, End, Part};
use crate::flow::run_stats::Done;

/// Our claim on one image of one received message. A panic anywhere drops it, which gives the image back.
#[derive(Debug)]
pub struct Lease {
    book: Arc<Book>,
    entry: u64,
    locator: Option<Locator>,
    /// Of the image from its receipt to the end of its message.
    span: Span,
    ended: bool,
}

impl Lease {
    /// Only the book opens leases.
    pub(crate) fn new(book: Arc<Book>, entry: u64, locator: Option<Locator>) -> Self {
        Self { book, entry, locator, span: Span::none(), ended: false }
    }

    /// Keeps the image's span open until its message is settled.
    pub(crate) fn trace(&mut self, span: Span) {
        self.span = span;
    }

    /// The image's span: the parent of everything that is done with it.
    pub(crate) fn span(&self) -> &Span {
        &self.span
    }

    fn end(&mut self, end: End) {
        self.ended = true;
        let span = std::mem::replace(&mut self.span, Span::none());
        self.book.end(self.entry, Part { locator: self.locator.take(), end, span });
    }

    /// The result is stored: delete the message.
    pub fn ack(mut self, done: Done) {
        self.end(End::Ack(done));
    }

    /// Give the message back, visible again after `delay`.
    pub fn release(mut self, delay: Duration) {
        self.end(End::Release(delay));
    }

    /// Dead-letter the message with its reason, then delete it.
    pub fn reject(mut self, rejection: Rejection) {
        self.end(End::Reject(rejection));
    }

    /// Whether the lease is known to have ended under us: more work on the item is wasted.
    pub fn lost(&self) -> bool {
        self.book.lost(self.entry)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if !self.ended {
            let delay = self.book.drop_delay();
            self.end(End::Release(delay));
        }
    }
}
