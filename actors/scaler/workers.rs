//! Workers, and the queues that they are submitted to. Pure.

use serde::Serialize;

use crate::ports::fleet::JobQueue;

/// Workers by line: those there are, or as many as there may be. Those there are, are the jobs in every state that is not an
/// end, children of arrays counted one by one.
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
    /// In one line.
    pub fn of(self, line: JobQueue) -> u64 {
        match line {
            JobQueue::Primary => self.primary,
            JobQueue::Secondary => self.secondary,
            JobQueue::Fallback => self.fallback,
        }
    }

    /// Adds to a line. What is remembered may say any number: too many are as good as the most.
    pub fn add(&mut self, line: JobQueue, workers: u64) {
        let there = match line {
            JobQueue::Primary => &mut self.primary,
            JobQueue::Secondary => &mut self.secondary,
            JobQueue::Fallback => &mut self.fallback,
        };
        *there = there.saturating_add(workers);
    }

    /// On the Spot market.
    pub fn spot(self) -> u64 {
        self.primary.saturating_add(self.secondary)
    }

    /// In all.
    pub fn total(self) -> u64 {
        self.spot().saturating_add(self.fallback)
    }
}
