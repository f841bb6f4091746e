//! How long to wait before a retry, and whether there may be one. The only file that uses the `backoff` crate.
//!
//! Full jitter and retry budgets: "Exponential Backoff and Jitter" (AWS Architecture Blog, 2015) and "Addressing
//! Cascading Failures" (Site Reliability Engineering, chapter 22).

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use backoff::backoff::Backoff as _;
use backoff::{ExponentialBackoff, ExponentialBackoffBuilder};
use parking_lot::Mutex;

/// How retries of one call are spaced.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RetrySettings {
    /// Upper end of the first wait.
    pub initial: Duration,
    /// Upper end of every wait.
    pub max: Duration,
    /// Growth of the upper end from wait to wait.
    pub multiplier: f64,
    /// Attempts an item has in a stage, the first included.
    pub attempts: u32,
    /// Retries a stage may spend at once before successes earn more.
    pub budget: f64,
    /// Part of a retry that each success earns.
    pub earned: f64,
    /// How long a dependency that is down is waited for; zero does not wait for one at all.
    pub outage: Duration,
}

impl Default for RetrySettings {
    fn default() -> Self {
        Self {
            initial: Duration::from_millis(100),
            max: Duration::from_secs(10),
            multiplier: 2.0,
            attempts: 5,
            budget: 50.0,
            earned: 0.2,
            outage: Duration::ZERO,
        }
    }
}

/// Uniform numbers from a seed (SplitMix64), shared by all stages: a simulated run repeats exactly.
#[derive(Debug)]
pub struct Jitter(AtomicU64);

impl Jitter {
    /// Numbers that follow from `seed`.
    pub fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }

    /// Uniform in 0..1.
    pub fn unit(&self) -> f64 {
        let mut z = self.0.fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::Relaxed).wrapping_add(0x9E37_79B9_7F4A_7C15);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Uniform in zero to `limit`, in whole milliseconds and at least one.
    pub fn full(&self, limit: Duration) -> Duration {
        let limit = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
        Duration::from_millis(((limit as f64 * self.unit()) as u64).max(1))
    }
}

/// The waits of one call.
pub struct Backoff(ExponentialBackoff);

impl Backoff {
    /// Starts at the first wait.
    pub fn new(settings: &RetrySettings) -> Self {
        Self(
            ExponentialBackoffBuilder::new()
                .with_initial_interval(settings.initial)
                .with_max_interval(settings.max)
                .with_multiplier(settings.multiplier)
                // The crate's jitter is centred and draws from the operating system; ours is full and seeded.
                .with_randomization_factor(0.0)
                .with_max_elapsed_time(None)
                .build(),
        )
    }

    /// The next wait: uniform up to an exponentially growing limit.
    pub fn next(&mut self, jitter: &Jitter) -> Duration {
        let limit = self.0.next_backoff().unwrap_or(self.0.max_interval);
        jitter.full(limit)
    }
}

/// Retries a stage may still make: failures of everybody must not multiply the load.
#[derive(Debug)]
pub(crate) struct Budget {
    left: Mutex<f64>,
    max: f64,
    earned: f64,
}

impl Budget {
    /// A full budget.
    pub(crate) fn new(settings: &RetrySettings) -> Self {
        Self { left: Mutex::new(settings.budget), max: settings.budget, earned: settings.earned }
    }

    /// A success earns part of a retry.
    pub(crate) fn earn(&self) {
        let mut left = self.left.lock();
        *left = (*left + self.earned).min(self.max);
    }

    /// Takes one retry, if there is one.
    pub(crate) fn spend(&self) -> bool {
        let mut left = self.left.lock();
        let may = *left >= 1.0;
        if may {
            *left -= 1.0;
        }
        may
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_stay_under_a_growing_limit_and_use_all_of_it() {
        let settings = RetrySettings::default();
        let jitter = Jitter::new(7);
        let mut longest = [Duration::ZERO; 10];
        for _ in 0..500 {
            let mut backoff = Backoff::new(&settings);
            for (n, longest) in longest.iter_mut().enumerate() {
                let limit = (settings.initial * 2u32.pow(n as u32)).min(settings.max);
                let wait = backoff.next(&jitter);
                assert!(wait <= limit, "wait {n} is {wait:?}, over {limit:?}");
                *longest = (*longest).max(wait);
            }
        }
        for (n, longest) in longest.iter().enumerate() {
            let limit = (settings.initial * 2u32.pow(n as u32)).min(settings.max);
            assert!(*longest > limit * 9 / 10, "wait {n} never came near {limit:?}: {longest:?}");
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_waits() {
        let waits = |seed| {
            let (jitter, mut backoff) = (Jitter::new(seed), Backoff::new(&RetrySettings::default()));
            (0..20).map(|_| backoff.next(&jitter)).collect::<Vec<_>>()
        };
        assert_eq!(waits(3), waits(3));
        assert_ne!(waits(3), waits(4));
    }

    #[test]
    fn a_spent_budget_refuses_until_successes_earn_more() {
        let budget = Budget::new(&RetrySettings { budget: 2.0, earned: 0.5, ..RetrySettings::default() });
        assert!(budget.spend() && budget.spend() && !budget.spend());
        budget.earn();
        assert!(!budget.spend());
        budget.earn();
        assert!(budget.spend() && !budget.spend());
        (0..100).for_each(|_| budget.earn());
        assert!(budget.spend() && budget.spend() && !budget.spend());
    }
}
