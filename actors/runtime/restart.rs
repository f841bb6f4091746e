//! Decides whether a child that died is started again. All functions are pure.

use std::time::Duration;

/// How often a child may die, and how long its restarts wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Intensity {
    /// Number of deaths that are allowed within the time.
    pub max: usize,
    /// The time in which deaths are counted.
    pub within: Duration,
    /// Wait before the second restart within that time; each further one doubles it. The first restart is immediate.
    pub delay: Duration,
}

/// The decision about a child that died.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Start another actor after this wait.
    Restart(Duration),
    /// End the run, because the child dies too often.
    GiveUp,
}

/// Decides from the ages of the child's deaths, where the present one has age zero.
pub(crate) fn decide(deaths: impl IntoIterator<Item = Duration>, intensity: &Intensity) -> Decision {
    let recent = deaths.into_iter().filter(|ago| *ago < intensity.within).count();
    match recent {
        0 | 1 => Decision::Restart(Duration::ZERO),
        n if n > intensity.max => Decision::GiveUp,
        n => {
            let doubled = u32::try_from(n - 2).map_or(u32::MAX, |n| 1u32.checked_shl(n).unwrap_or(u32::MAX));
            Decision::Restart(intensity.delay.saturating_mul(doubled).min(intensity.within))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_is_restarted_slower_and_slower_and_then_not_at_all() {
        let intensity = Intensity { max: 4, within: Duration::from_secs(60), delay: Duration::from_millis(50) };
        let restart = |ms| Decision::Restart(Duration::from_millis(ms));
        for (ago, expected) in [
            (vec![0], restart(0)),
            (vec![1, 0], restart(50)),
            (vec![2, 1, 0], restart(100)),
            (vec![3, 2, 1, 0], restart(200)),
            (vec![4, 3, 2, 1, 0], Decision::GiveUp),
            (vec![100, 90, 80, 70, 0], restart(0)),
            (vec![60, 59, 0], restart(50)),
        ] {
            let deaths = ago.iter().map(|s| Duration::from_secs(*s));
            assert_eq!(decide(deaths, &intensity), expected, "{ago:?}");
        }
    }
}
