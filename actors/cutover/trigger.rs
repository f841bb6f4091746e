//! Compares observations of Batch with limits, and decides whether to roll back. Pure functions.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::ports::observer::{Observations, SideStats};

/// The limits above which a cutover is rolled back. A limit of zero is none.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RollbackLimits {
    /// Least number of images from which a rate is computed.
    pub images: u64,
    /// Share of the images that fail, above that of ECS.
    pub failure_ratio: f64,
    /// Seconds that 99 of 100 images stay under.
    pub p99_seconds: f64,
    /// Seconds that a message waits.
    pub queue_age_seconds: f64,
    /// Dead letters since the step began.
    pub dead_letters: f64,
    /// US dollars for a thousand images.
    pub dollars_per_thousand: f64,
    /// Spot interruptions in the window.
    pub interruptions: f64,
    /// US dollars for an hour of a worker.
    pub dollars_an_hour: f64,
}

/// The figure that a trigger compares with its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RollbackTrigger {
    /// Images that fail.
    FailureRatio,
    /// How long images take.
    P99,
    /// How long messages wait.
    QueueAge,
    /// Messages that nobody can process.
    DeadLetters,
    /// What a thousand images cost.
    Cost,
    /// Machines that are taken away.
    Interruptions,
}

/// A figure with its limit.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct TriggerReading {
    /// The trigger.
    pub trigger: RollbackTrigger,
    /// The observed figure; `None` where it is unknown, or where too few images were seen.
    pub figure: Option<f64>,
    /// The limit; 0 where there is none.
    pub limit: f64,
}

impl TriggerReading {
    /// Tells whether the figure is above its limit.
    pub fn is_over(&self) -> bool {
        self.limit > 0.0 && self.figure.is_some_and(|figure| figure > self.limit)
    }
}

/// Computes the dollars for a thousand images from the working time and the number of images.
pub fn dollars_per_thousand(worked: Duration, images: u64, dollars_an_hour: f64) -> f64 {
    worked.as_secs_f64() / 3600.0 * dollars_an_hour / images as f64 * 1000.0
}

/// Returns every figure with its limit.
pub fn readings(observed: &Observations, limits: &RollbackLimits) -> [TriggerReading; 6] {
    let batch = observed.batch.as_ref().filter(|seen| seen.images >= limits.images.max(1));
    // Images that both sides reject are not the cutover's fault, and a rollback would not help.
    let usual = observed.ecs.as_ref().filter(|seen| seen.images >= limits.images.max(1)).map_or(0.0, SideStats::ratio);
    let seconds = |time: Duration| time.as_secs_f64();
    let waited = observed.batch.as_ref().filter(|seen| seen.images > 0).map(|seen| seen.waited);
    let reading = |trigger, figure, limit| TriggerReading { trigger, figure, limit };
    [
        reading(RollbackTrigger::FailureRatio, batch.map(|seen| (seen.ratio() - usual).max(0.0)), limits.failure_ratio),
        reading(RollbackTrigger::P99, batch.map(|seen| seconds(seen.p99)), limits.p99_seconds),
        reading(RollbackTrigger::QueueAge, waited.max(observed.stalled).map(seconds), limits.queue_age_seconds),
        reading(RollbackTrigger::DeadLetters, observed.dead_letters.map(|letters| letters as f64), limits.dead_letters),
        reading(
            RollbackTrigger::Cost,
            batch.map(|seen| dollars_per_thousand(seen.worked, seen.images, limits.dollars_an_hour)),
            limits.dollars_per_thousand,
        ),
        reading(RollbackTrigger::Interruptions, observed.interruptions.map(|count| count as f64), limits.interruptions),
    ]
}

/// Returns the first reading that demands a rollback.
pub fn judge(observed: &Observations, limits: &RollbackLimits) -> Option<TriggerReading> {
    readings(observed, limits).into_iter().find(TriggerReading::is_over)
}

/// Tells whether enough is known for the next step: enough images, and every figure that has a limit.
pub(crate) fn may_advance(observed: &Observations, limits: &RollbackLimits) -> bool {
    readings(observed, limits)
        .iter()
        .all(|reading| reading.limit <= 0.0 || reading.figure.is_some() && !reading.is_over())
        && observed.batch.as_ref().is_some_and(|seen| seen.images >= limits.images.max(1))
}

impl fmt::Display for TriggerReading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { trigger, figure, limit } = self;
        let figure = figure.unwrap_or(f64::NAN);
        let cents = |ratio: f64| ratio * 100.0;
        match trigger {
            RollbackTrigger::FailureRatio => write!(
                f,
                "{:.1} % of Batch's images were rejected beyond what ECS rejects, allowed are {:.1} % (cutover.failure_ratio)",
                cents(figure),
                cents(*limit)
            ),
            RollbackTrigger::P99 => write!(
                f,
                "one in a hundred of Batch's images took {figure:.1} s or longer, allowed are {limit} s (cutover.p99_seconds)"
            ),
            RollbackTrigger::QueueAge => write!(
                f,
                "a message waited {figure:.0} s in Batch's queue, or nothing came out of it for so long, allowed are {limit} s \
                 (cutover.queue_age_seconds)"
            ),
            RollbackTrigger::DeadLetters => {
                write!(f, "{figure} dead letters since the step began, allowed are {limit} (cutover.dead_letters)")
            }
            RollbackTrigger::Cost => write!(
                f,
                "a thousand of Batch's images cost {figure:.3} dollars, allowed are {limit} (cutover.dollars_per_thousand)"
            ),
            RollbackTrigger::Interruptions => {
                write!(f, "{figure} Spot interruptions in the window, allowed are {limit} (cutover.interruptions)")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: RollbackLimits = RollbackLimits {
        images: 10,
        failure_ratio: 0.02,
        p99_seconds: 30.0,
        queue_age_seconds: 900.0,
        dead_letters: 5.0,
        dollars_per_thousand: 1.0,
        interruptions: 3.0,
        dollars_an_hour: 0.36,
    };

    fn seen(images: u64, failed: u64) -> SideStats {
        SideStats { images, failed, p99: Duration::from_secs(2), ..SideStats::default() }
    }

    fn good() -> Observations {
        Observations {
            batch: Some(seen(100, 0)),
            ecs: Some(seen(100, 0)),
            stalled: Some(Duration::ZERO),
            dead_letters: Some(0),
            interruptions: Some(0),
            tasks: None,
        }
    }

    #[test]
    fn each_trigger_fires_above_its_limit_and_not_at_it() {
        use RollbackTrigger::{Cost, DeadLetters, FailureRatio, Interruptions, P99, QueueAge};
        let batch = |seen: SideStats| Observations { batch: Some(seen), ..good() };
        let seconds = Duration::from_secs;
        for (what, observed, expected) in [
            ("all is well", good(), None),
            ("nothing is known", Observations::default(), None),
            ("2 %", batch(seen(100, 2)), None),
            ("3 %", batch(seen(100, 3)), Some(FailureRatio)),
            ("too few to say", batch(seen(9, 9)), None),
            ("enough to say", batch(seen(10, 9)), Some(FailureRatio)),
            ("both sides fail", Observations { ecs: Some(seen(50, 5)), ..batch(seen(100, 12)) }, None),
            ("Batch fails more", Observations { ecs: Some(seen(50, 5)), ..batch(seen(100, 13)) }, Some(FailureRatio)),
            (
                "too few of ECS to say",
                Observations { ecs: Some(seen(5, 5)), ..batch(seen(100, 3)) },
                Some(FailureRatio),
            ),
            ("ECS is not muster's", Observations { ecs: None, ..batch(seen(100, 3)) }, Some(FailureRatio)),
            ("30 s", batch(SideStats { p99: seconds(30), ..seen(100, 0) }), None),
            ("31 s", batch(SideStats { p99: seconds(31), ..seen(100, 0) }), Some(P99)),
            ("waited for 900 s", batch(SideStats { waited: seconds(900), ..seen(100, 0) }), None),
            ("waited for 901 s", batch(SideStats { waited: seconds(901), ..seen(1, 0) }), Some(QueueAge)),
            ("nothing comes out", Observations { stalled: Some(seconds(901)), batch: None, ..good() }, Some(QueueAge)),
            ("5 dead letters", Observations { dead_letters: Some(5), ..good() }, None),
            ("6 dead letters", Observations { dead_letters: Some(6), ..good() }, Some(DeadLetters)),
            // 100 images in 1,000 s are a dollar a thousand.
            ("a dollar", batch(SideStats { worked: seconds(1000), ..seen(100, 0) }), None),
            ("more", batch(SideStats { worked: seconds(1001), ..seen(100, 0) }), Some(Cost)),
            ("3 interruptions", Observations { interruptions: Some(3), ..good() }, None),
            ("4 interruptions", Observations { interruptions: Some(4), ..good() }, Some(Interruptions)),
        ] {
            let judged = judge(&observed, &LIMITS);
            assert_eq!(judged.map(|reading| reading.trigger), expected, "{what}");
            assert!(judged.is_none() || !may_advance(&observed, &LIMITS), "{what}");
        }
    }

    #[test]
    fn a_limit_of_zero_is_none() {
        let none = RollbackLimits {
            failure_ratio: 0.0,
            p99_seconds: 0.0,
            queue_age_seconds: 0.0,
            dead_letters: 0.0,
            dollars_per_thousand: 0.0,
            interruptions: 0.0,
            ..LIMITS
        };
        let bad = SideStats { waited: Duration::from_secs(9_999), worked: Duration::from_secs(9_999), ..seen(10, 10) };
        let bad = Observations { batch: Some(bad), dead_letters: Some(99), interruptions: Some(99), ..good() };
        assert!(judge(&bad, &LIMITS).is_some());
        assert_eq!(judge(&bad, &none), None);
    }

    #[test]
    fn nobody_goes_on_blindly() {
        assert!(may_advance(&good(), &LIMITS));
        for (what, blind) in [
            ("images", Observations { batch: None, ..good() }),
            ("enough images", Observations { batch: Some(seen(9, 0)), ..good() }),
            ("the dead letters", Observations { dead_letters: None, ..good() }),
            ("the interruptions", Observations { interruptions: None, ..good() }),
        ] {
            assert!(!may_advance(&blind, &LIMITS), "{what}");
        }
        let without = RollbackLimits { interruptions: 0.0, ..LIMITS };
        assert!(may_advance(&Observations { interruptions: None, ..good() }, &without));
    }

    #[test]
    fn a_reading_says_its_figure_and_its_limit() {
        let readings = readings(&good(), &LIMITS);
        assert_eq!(
            readings[0].to_string(),
            "0.0 % of Batch's images were rejected beyond what ECS rejects, allowed are 2.0 % (cutover.failure_ratio)"
        );
        for reading in readings {
            let told = reading.to_string();
            assert!(told.contains("allowed") && told.contains("cutover."), "{told}");
        }
    }
}
