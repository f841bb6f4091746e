//! Ending a run in order, from the front to the end, within a deadline.

use std::time::Duration;

use tokio::time::Instant;

/// The mode of a drain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Complete everything that was received.
    Finish,
    /// Give back images that are not on a device, and finish those that are.
    HandBack,
}

/// A request to end the pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, actix::Message)]
#[rtype(result = "()")]
pub struct Drain {
    /// Way in which the run drains.
    pub mode: Mode,
    /// Time from now until the end.
    pub deadline: Duration,
}

impl Drain {
    /// Creates a drain that completes everything within `deadline`.
    pub fn finish(deadline: Duration) -> Self {
        Self { mode: Mode::Finish, deadline }
    }

    /// Creates a drain that gives back what it can within `deadline`.
    pub fn hand_back(deadline: Duration) -> Self {
        Self { mode: Mode::HandBack, deadline }
    }
}

/// The division of a drain's time between the stages and the settling of leases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Budget {
    /// Time until which the stages may work; then stragglers are named and stopped.
    pub stages: Instant,
    /// Time until which the actors may work that settle what the stages dropped.
    pub all: Instant,
}

impl Budget {
    /// Computes the budget of a drain that may take `deadline` from `now`. A fifth of the time, at
    /// most four seconds, is kept for settling leases.
    pub(crate) fn new(now: Instant, deadline: Duration) -> Self {
        let settle = (deadline / 5).min(Duration::from_secs(4));
        Self { stages: now + (deadline - settle), all: now + deadline }
    }

    /// Returns the earlier times of two budgets, because a second, shorter drain may overtake a
    /// first one.
    pub(crate) fn tighten(self, other: Self) -> Self {
        Self { stages: self.stages.min(other.stages), all: self.all.min(other.all) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settling_has_a_share_of_every_deadline() {
        let now = Instant::now();
        for (deadline, stages) in [(20_000, 16_000), (10_000, 8_000), (100, 80), (0, 0), (3_600_000, 3_596_000)] {
            let budget = Budget::new(now, Duration::from_millis(deadline));
            assert_eq!(budget.all - now, Duration::from_millis(deadline));
            assert_eq!(budget.stages - now, Duration::from_millis(stages));
        }
    }

    #[test]
    fn a_shorter_drain_overtakes_a_longer_one() {
        let now = Instant::now();
        let [long, short] = [3600, 20].map(|s| Budget::new(now, Duration::from_secs(s)));
        assert_eq!(long.tighten(short), short);
        assert_eq!(short.tighten(long), short);
    }
}
