//! Watches a cutover: judges observations, rolls back, and goes on to the next step where the settings allow it. Any number of
//! watchers may run, because each change is made on the condition that the state still is the judged one.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::errors::Class;
use crate::errors::class::Classified;
use crate::ports::cas_object::CasObject;
use crate::ports::observer::{Observations, Observer};

use super::record::{self, RecordError};
use super::trigger::{RollbackLimits, judge, may_advance};
use crate::domain::cutover_state::{ChangeNote, CutoverCommand, CutoverRefusal, CutoverState, next};

/// The rules that a watcher applies.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WatcherRules {
    /// Interval of observations.
    pub look: Duration,
    /// Least time that a step is in force.
    pub dwell: Duration,
    /// Whether it goes on to the next step.
    pub advance: bool,
    /// Limits above which it rolls back.
    pub limits: RollbackLimits,
}

/// A function that makes the note of a change: a new id, the time, the author and the reason.
pub type NoteMaker = Arc<dyn Fn(String) -> ChangeNote + Send + Sync>;

/// Watches a cutover, and changes its state.
pub struct Watcher {
    /// The stored state.
    pub cell: Arc<dyn CasObject>,
    /// Observes both sides.
    pub observer: Arc<dyn Observer>,
    /// Makes the notes of its changes.
    pub notes: NoteMaker,
    /// Its rules.
    pub rules: WatcherRules,
    /// The percentage that routers apply.
    pub percent: watch::Sender<Option<u8>>,
}

/// The decision after an observation.
#[derive(Clone, Debug, PartialEq)]
enum WatcherDecision {
    Stay,
    /// A rollback is due, but ECS has no task that would take the work back.
    NoTasks(String),
    Change(CutoverCommand, String),
}

/// Decides what follows from the observations.
fn decide(state: &CutoverState, observed: &Observations, rules: &WatcherRules, now: u64) -> WatcherDecision {
    if state.percent == 0 {
        return WatcherDecision::Stay;
    }
    if let Some(reading) = judge(observed, &rules.limits) {
        return match observed.tasks {
            Some(0) => WatcherDecision::NoTasks(reading.to_string()),
            // Where the number of tasks is unknown it rolls back: waiting messages are not lost, and dead letters may be.
            Some(_) | None => WatcherDecision::Change(CutoverCommand::Trigger(state.revision), reading.to_string()),
        };
    }
    let dwelt = state.dwell_left(rules.dwell, now) == Duration::ZERO;
    if rules.advance && dwelt && next(state.percent).is_some() && may_advance(observed, &rules.limits) {
        return WatcherDecision::Change(
            CutoverCommand::Advance(state.revision),
            "the dwell is over and no limit was passed".to_owned(),
        );
    }
    WatcherDecision::Stay
}

impl Watcher {
    /// Watches until `stop`.
    ///
    /// # Errors
    /// The state cannot be read for a reason that a person must fix.
    pub async fn run(&self, stop: &watch::Receiver<bool>) -> Result<(), RecordError> {
        let mut stop = stop.clone();
        let mut clock = interval(self.rules.look);
        clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // A revision that must be rolled back, and why. Nothing goes to Batch any more, even before that is stored.
        let mut bad: Option<(u64, String)> = None;
        loop {
            tokio::select! {
                biased;
                stopped = stop.wait_for(|stop| *stop) => match stopped {
                    Ok(_) => return Ok(()),
                    Err(_) => std::future::pending().await,
                },
                _ = clock.tick() => {}
            }
            match self.look(&mut bad).await {
                Ok(()) => {}
                Err(error) if matches!(error.class(), Class::Misconfigured(_)) => return Err(error),
                Err(error) => tracing::warn!(%error, "cutover.look"),
            }
        }
    }

    async fn look(&self, bad: &mut Option<(u64, String)>) -> Result<(), RecordError> {
        let (state, _) = self.within(record::read(self.cell.as_ref())).await?;
        let verdict = match bad.as_ref().filter(|(revision, _)| *revision == state.revision) {
            Some((revision, why)) => WatcherDecision::Change(CutoverCommand::Trigger(*revision), why.clone()),
            None => {
                *bad = None;
                self.percent.send_replace(Some(state.percent));
                self.judge(&state).await
            }
        };
        let (wish, why) = match verdict {
            WatcherDecision::Stay => return Ok(()),
            WatcherDecision::NoTasks(why) => {
                let remedy = "start tasks of the ECS service (ecs.detection); the rollback follows";
                tracing::error!(why, remedy, "cutover.no_tasks");
                return Ok(());
            }
            WatcherDecision::Change(wish, why) => (wish, why),
        };
        if let CutoverCommand::Trigger(revision) = wish {
            self.percent.send_replace(Some(0));
            *bad = Some((revision, why.clone()));
        }
        let note = ChangeNote { dead_letters: self.observer.dead_letters().await, ..(self.notes)(why.clone()) };
        match self.within(record::change(self.cell.as_ref(), wish, &note, self.rules.dwell)).await {
            Ok(state) => {
                self.percent.send_replace(Some(state.percent));
                match wish {
                    CutoverCommand::Trigger(_) => tracing::error!(why, "cutover.rolled_back"),
                    _ => tracing::warn!(percent = state.percent, "cutover.advanced"),
                }
                Ok(())
            }
            // Another watcher was faster; the next observation sees its change.
            Err(RecordError::Refused(
                CutoverRefusal::Changed | CutoverRefusal::InForce(_) | CutoverRefusal::Dwell { .. },
            )) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn judge(&self, state: &CutoverState) -> WatcherDecision {
        if state.percent == 0 {
            return WatcherDecision::Stay;
        }
        let observed = self.observer.observe(state).await;
        tracing::debug!(percent = state.percent, ?observed, "cutover.observed");
        decide(state, &observed, &self.rules, (self.notes)(String::new()).at)
    }

    /// A cell that does not answer must not keep us from looking again.
    async fn within<T>(&self, call: impl Future<Output = Result<T, RecordError>>) -> Result<T, RecordError> {
        const CELL_TIMEOUT: Duration = Duration::from_secs(10);
        timeout(CELL_TIMEOUT, call).await.unwrap_or_else(|_| {
            let message = "no answer in time".to_owned();
            Err(crate::ports::cas_object::CasError::Failed { class: Class::Transient, message }.into())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::observer::SideStats;

    #[test]
    fn what_follows_a_look() {
        let limits = RollbackLimits {
            images: 10,
            failure_ratio: 0.1,
            p99_seconds: 0.0,
            queue_age_seconds: 60.0,
            dead_letters: 0.0,
            dollars_per_thousand: 0.0,
            interruptions: 0.0,
            dollars_an_hour: 0.0,
        };
        let rules =
            |advance| WatcherRules { look: Duration::from_secs(1), dwell: Duration::from_secs(60), advance, limits };
        let seen = |images, failed| Observations {
            batch: Some(SideStats { images, failed, ..SideStats::default() }),
            stalled: Some(Duration::ZERO),
            ..Observations::default()
        };
        let now = 1_000_000;
        for (percent, ago, advance, observed, expected) in [
            (50, 60, true, seen(20, 0), Some(CutoverCommand::Advance(3))),
            (50, 59, true, seen(20, 0), None),
            (50, 60, false, seen(20, 0), None),
            (50, 60, true, seen(9, 0), None),
            (50, 60, true, Observations::default(), None),
            (100, 60, true, seen(20, 0), None),
            (50, 1, false, seen(20, 3), Some(CutoverCommand::Trigger(3))),
            (100, 600, true, seen(20, 3), Some(CutoverCommand::Trigger(3))),
            (0, 600, true, seen(20, 3), None),
        ] {
            let state = CutoverState { revision: 3, percent, since: now - ago * 1000, ..CutoverState::default() };
            let wish = match decide(&state, &observed, &rules(advance), now) {
                WatcherDecision::Stay | WatcherDecision::NoTasks(_) => None,
                WatcherDecision::Change(wish, _) => Some(wish),
            };
            assert_eq!(wish, expected, "{percent} % for {ago} s, advance {advance}, {observed:?}");
        }
        let state = CutoverState { revision: 3, percent: 50, since: now - 60_000, ..CutoverState::default() };
        let verdict = |tasks, failed| decide(&state, &Observations { tasks, ..seen(20, failed) }, &rules(true), now);
        for (tasks, rolls_back) in [(None, true), (Some(1), true), (Some(0), false)] {
            let bad = verdict(tasks, 3);
            assert_eq!(
                matches!(bad, WatcherDecision::Change(CutoverCommand::Trigger(3), _)),
                rolls_back,
                "{tasks:?} tasks: {bad:?}"
            );
            assert_eq!(matches!(bad, WatcherDecision::NoTasks(_)), !rolls_back, "{tasks:?} tasks: {bad:?}");
            assert!(
                matches!(verdict(tasks, 0), WatcherDecision::Change(CutoverCommand::Advance(3), _)),
                "a good side goes on"
            );
        }
    }
}
