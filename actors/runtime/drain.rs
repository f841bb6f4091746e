//! Ending a run in order, from the front to the end, within a deadline.

use std::time::Duration;

use tokio::time::Instant;

/// How to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Complete everything that was received.
    Finish,
    /// Give back what is not on a device, finish what is.
    HandBack,
}

/// Ask the pipeline to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, actix::Message)]
#[rtype(result = "()")]
pub struct Drain {
    /// How.
    pub mode: Mode,
    /// How long it may take from now.
    pub deadline: Duration,
}

impl Drain {
    /// Complete everything, within `deadline`.
    pub fn finish(deadline: Duration) -> Self {
        Self { mode: Mode::Finish, deadline }
    }

    /// Give back what can be given back, within `deadline`.
    pub fn hand_back(deadline: Duration) -> Self {
        Self { mode: Mode::HandBack, deadline }
    }
}

/// How the time of a drain is spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Budget {
    /// Until then the stages may work; then stragglers are named and stopped.
    pub stages: Instant,
    /// Until then those may work that settle what the stages dropped.
    pub all: Instant,
}

impl Budget {
    /// A fifth of the time, at most four seconds, is kept for settling leases.
    pub(crate) fn new(now: Instant, deadline: Duration) -> Self {
        let settle = (deadline / 5).min(Duration::from_secs(4));
        Self { stages: now + (deadline - settle), all: now + deadline }
    }

    /// The tighter of two budgets: a second, shorter drain may overtake a first.
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
