//! The observations by which a cutover goes on or is rolled back.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;

use crate::domain::cutover_state::CutoverState;

/// An image that one side of a cutover finished.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FinishedImage {
    /// Whether it was rejected.
    pub failed: bool,
    /// Time from its receipt to its result, in milliseconds.
    pub took: u64,
    /// Time from the sending of its message to its receipt, in milliseconds; `None` where the queue did not say.
    pub waited: Option<u64>,
    /// Id of the worker.
    pub worker: u128,
    /// Time at which its result was written, in milliseconds since 1970.
    pub at: u64,
}

/// Statistics of one side of a cutover within a time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SideStats {
    /// Number of finished images.
    pub images: u64,
    /// Number of rejected ones among them.
    pub failed: u64,
    /// The 99th percentile of the times from receipt to result.
    pub p99: Duration,
    /// Longest wait of an image in its queue.
    pub waited: Duration,
    /// Sum over the workers of the time from the receipt of their first image to the result of their last one. Workers
    /// without an image count nothing.
    pub worked: Duration,
}

impl SideStats {
    /// Computes the statistics of images that were finished within the window.
    pub fn from_ended(ended: &[FinishedImage]) -> Self {
        let mut took: Vec<u64> = ended.iter().map(|image| image.took).collect();
        took.sort_unstable();
        // This is the nearest rank: the smallest time that at least 99 of 100 images do not exceed.
        let rank = (took.len() * 99).div_ceil(100);
        let p99 = rank.checked_sub(1).and_then(|place| took.get(place)).copied().unwrap_or(0);
        let mut spans: BTreeMap<u128, (u64, u64)> = BTreeMap::new();
        for image in ended {
            let (first, last) = spans.entry(image.worker).or_insert((u64::MAX, 0));
            *first = (*first).min(image.at.saturating_sub(image.took));
            *last = (*last).max(image.at);
        }
        let worked = spans.values().map(|(first, last)| last - first).sum();
        Self {
            images: ended.len() as u64,
            failed: ended.iter().filter(|image| image.failed).count() as u64,
            p99: Duration::from_millis(p99),
            waited: Duration::from_millis(ended.iter().filter_map(|image| image.waited).max().unwrap_or(0)),
            worked: Duration::from_millis(worked),
        }
    }

    /// Returns the share of the images that were rejected.
    pub(crate) fn ratio(&self) -> f64 {
        if self.images == 0 { 0.0 } else { self.failed as f64 / self.images as f64 }
    }
}

/// Observations of both sides. An observation that could not be made is `None`, and triggers nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observations {
    /// Statistics of Batch in the window.
    pub batch: Option<SideStats>,
    /// Statistics of ECS in the window, where its workers are muster's.
    pub ecs: Option<SideStats>,
    /// Time for which Batch has finished nothing although messages wait for it.
    pub stalled: Option<Duration>,
    /// Dead letters since the step began.
    pub dead_letters: Option<u64>,
    /// Spot interruptions of Batch's workers in the window.
    pub interruptions: Option<u64>,
    /// Running tasks of the ECS service. If there are none, a rollback would leave the work undone.
    pub tasks: Option<u64>,
}

/// Observes both sides of a cutover.
#[async_trait]
pub trait Observer: Send + Sync {
    /// Makes the observations since the state came into force, within the window.
    async fn observe(&self, state: &CutoverState) -> Observations;
    /// Counts the messages in the dead-letter queue; `None` where that fails.
    async fn dead_letters(&self) -> Option<u64>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_become_figures() {
        let ended = |worker, at, took| FinishedImage { failed: took == 7, took, waited: Some(at / 10), worker, at };
        // Two workers: from 0 to 10 s, and from 50 to 51 s.
        let all = [ended(1, 2_000, 2_000), ended(1, 10_000, 1_000), ended(2, 51_000, 1_000), ended(2, 50_900, 7)];
        let seen = SideStats::from_ended(&all);
        assert_eq!((seen.images, seen.failed), (4, 1));
        assert_eq!((seen.p99, seen.waited), (Duration::from_secs(2), Duration::from_millis(5_100)));
        assert_eq!(seen.worked, Duration::from_secs(11));
        assert_eq!(SideStats::from_ended(&[]), SideStats::default());
        // Of 200 images two may take longer than the 99th of a hundred, of 100 one.
        let many = |images: u64| SideStats::from_ended(&(1..=images).map(|n| ended(1, n, n)).collect::<Vec<_>>()).p99;
        assert_eq!(
            (many(100), many(200), many(1)),
            (Duration::from_millis(99), Duration::from_millis(198), Duration::from_millis(1))
        );
    }
}
