//! Whether a child that died is started again. Pure.

use std::time::Duration;

/// How often a child may die.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Intensity {
    /// Deaths allowed …
    pub max: usize,
    /// … within this time.
    pub within: Duration,
    /// Wait before the second restart within it; doubles with each further one. The first is immediate.
    pub delay: Duration,
}

/// What to do with a child that died.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Start another after a wait.
    Restart(Duration),
    /// It dies too often: stop everything.
    GiveUp,
}

/// Decides from how long ago each earlier death was, this one (zero) included.
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
