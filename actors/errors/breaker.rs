//! Whether the dependency behind a stage is down, or only one item is in trouble.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// Calls of one stage that failed without a success between them.
#[derive(Debug, Default)]
pub(crate) struct Breaker(Mutex<Option<Failing>>);

#[derive(Clone, Copy, Debug)]
struct Failing {
    since: Instant,
    calls: u32,
}

/// What the calls so far say of the dependency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outage {
    /// Somebody succeeded lately: it works.
    None,
    /// Nobody succeeds.
    Down,
    /// Nobody has succeeded for longer than the program may wait.
    Over,
}

/// Calls that fail in a row before the dependency counts as down: fewer may be one item's own trouble.
const IN_A_ROW: u32 = 4;

impl Breaker {
    /// A call succeeded.
    pub(crate) fn close(&self) {
        *self.0.lock() = None;
    }

    /// A call failed, as calls do whose dependency is down. `bound` is how long an outage may last; zero never calls it one.
    pub(crate) fn failed(&self, bound: Duration) -> Outage {
        let now = Instant::now();
        let mut failing = self.0.lock();
        let mut seen = failing.unwrap_or(Failing { since: now, calls: 0 });
        seen.calls = seen.calls.saturating_add(1);
        *failing = Some(seen);
        match now - seen.since {
            _ if bound.is_zero() || seen.calls < IN_A_ROW => Outage::None,
            lasted if lasted < bound => Outage::Down,
            _ => Outage::Over,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUND: Duration = Duration::from_secs(300);

    #[tokio::test(start_paused = true)]
    async fn a_dependency_is_down_when_nobody_succeeds_and_works_again_with_the_first_success() {
        let breaker = Breaker::default();
        assert!((1..IN_A_ROW).all(|_| breaker.failed(BOUND) == Outage::None));
        assert_eq!(breaker.failed(BOUND), Outage::Down);
        tokio::time::advance(BOUND).await;
        assert_eq!(breaker.failed(BOUND), Outage::Over);
        breaker.close();
        assert_eq!(breaker.failed(BOUND), Outage::None);
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_bound_no_outage_is_waited_for() {
        let breaker = Breaker::default();
        assert!((0..100).all(|_| breaker.failed(Duration::ZERO) == Outage::None));
    }
}
