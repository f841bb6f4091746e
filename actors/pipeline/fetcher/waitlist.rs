//! The parts of received messages that wait for credits. A message may name more images than the pipeline may hold.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::time::Instant;

use crate::domain::gallery::GalleryId;
use crate::domain::message::ImageEvent;
use crate::flow::credit::Credit;
use crate::flow::lease::Lease;
use crate::ports::queue::Delivery;
use crate::ports::releases::Receive;

/// The work that a part of a message asks for.
#[derive(Debug)]
pub(super) enum Task {
    Image(ImageEvent),
    Gallery(GalleryId),
}

/// One part of a message, under its lease.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) task: Task,
    pub(super) lease: Lease,
    /// The message, without its body.
    pub(super) delivery: Arc<Delivery>,
    /// Number of earlier receives of the message that had no end.
    pub(super) deaths: u32,
    pub(super) received: Instant,
}

/// Parts of messages in the order of their receipt. Dropping the list hands back the parts in it.
#[derive(Debug, Default)]
pub(super) struct Waitlist(VecDeque<Waiting>);

impl Waitlist {
    /// Adds the parts of a message that was received just now.
    pub(super) fn add(&mut self, delivery: &Arc<Delivery>, parts: impl Iterator<Item = (Task, Lease)>) {
        let (received, deaths) = (Instant::now(), delivery.receive_count.saturating_sub(1));
        let waiting = |(task, lease)| Waiting { task, lease, delivery: Arc::clone(delivery), deaths, received };
        self.0.extend(parts.map(waiting));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns the waiting messages that were received before, each once.
    pub(super) fn redelivered(&self) -> Vec<Receive> {
        let again = self.0.iter().filter(|waiting| waiting.delivery.receive_count > 1);
        let mut receives: Vec<Receive> = again.map(|waiting| waiting.delivery.receive()).collect();
        receives.sort();
        receives.dedup();
        receives
    }

    /// Records that `releases` of a message's earlier receives ended in a release.
    pub(super) fn forgive(&mut self, receive: &Receive, releases: u32) {
        for waiting in self.0.iter_mut().filter(|waiting| waiting.delivery.receive() == *receive) {
            waiting.deaths = receive.number.saturating_sub(1).saturating_sub(releases);
        }
    }

    /// Handles messages whose earlier receives are unknown: each counts as one without an end, up to `most`, so that no
    /// message is rejected for it.
    pub(super) fn doubt(&mut self, most: u32) {
        self.0.iter_mut().for_each(|waiting| waiting.deaths = waiting.deaths.min(most));
    }

    /// Takes the next parts, one for each credit, and drops those whose lease is lost.
    pub(super) fn take(&mut self, credits: Vec<Credit>) -> Vec<(Waiting, Credit)> {
        self.0.retain(|waiting| !waiting.lease.lost());
        let count = credits.len().min(self.0.len());
        self.0.drain(..count).zip(credits).collect()
    }
}

impl Drop for Waitlist {
    fn drop(&mut self) {
        // A part that a panic drops may have caused it, so it is not handed back as innocent.
        if !std::thread::panicking() {
            self.0.drain(..).for_each(|waiting| waiting.lease.hand_back());
        }
    }
}
