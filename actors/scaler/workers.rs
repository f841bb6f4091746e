//! Numbers of workers by job queue. Pure functions.

use serde::Serialize;

use crate::ports::fleet::JobQueue;

/// Numbers of workers by job queue: existing ones, or the most allowed. Existing workers are the jobs in every state that is
/// not an end, with children of arrays counted one by one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Workers {
    /// In the primary queue.
    pub primary: u64,
    /// In the secondary queue.
    pub secondary: u64,
    /// In the queue of the fallback.
    pub fallback: u64,
}

impl Workers {
    /// Returns the number of one queue.
    pub fn of(self, line: JobQueue) -> u64 {
        match line {
            JobQueue::Primary => self.primary,
            JobQueue::Secondary => self.secondary,
            JobQueue::Fallback => self.fallback,
        }
    }

    /// Adds to a queue. The sum saturates, because a remembered number may be any.
    pub fn add(&mut self, line: JobQueue, workers: u64) {
        let there = match line {
            JobQueue::Primary => &mut self.primary,
            JobQueue::Secondary => &mut self.secondary,
            JobQueue::Fallback => &mut self.fallback,
        };
        *there = there.saturating_add(workers);
    }

    /// Returns the number on the Spot market.
    pub fn spot(self) -> u64 {
        self.primary.saturating_add(self.secondary)
    }

    /// Returns the total.
    pub fn total(self) -> u64 {
        self.spot().saturating_add(self.fallback)
    }
}
