//! Follows the state, judges what is seen, rolls back by itself, and goes on by itself where that is wanted. Any number of
//! watchers may run: each change is made on the condition that the state still is what was judged.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::errors::Class;
use crate::errors::class::Classified;
use crate::ports::cas_object::CasObject;
use crate::ports::observer::{Observations, Observer};

use super::record::{self, RecordError};
use super::trigger::{Limits, judge, may_advance};
use crate::domain::cutover_state::{Note, Refused, State, Wish, next};

/// What a watcher goes by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rules {
    /// Between two looks.
    pub look: Duration,
    /// A step is in force at least so long.
    pub dwell: Duration,
    /// Whether it goes on by itself.
    pub advance: bool,
    /// From where on it is bad.
    pub limits: Limits,
}

/// Makes the note of a change: a new id and the time, with who this is and why.
pub type Notes = Arc<dyn Fn(String) -> Note + Send + Sync>;

/// One watcher.
pub struct Watcher {
    /// Where the state lies.
    pub cell: Arc<dyn CasObject>,
    /// Looks at both sides.
    pub observer: Arc<dyn Observer>,
    /// Signs its changes.
    pub notes: Notes,
    /// What it goes by.
    pub rules: Rules,
    /// The percentage that routers go by.
    pub percent: watch::Sender<Option<u8>>,
}

/// What is done after a look.
#[derive(Clone, Debug, PartialEq)]
enum Verdict {
    Stay,
    /// It is bad, but ECS has no task that would take the work back.
    NoTasks(String),
    Change(Wish, String),
}

/// What follows from what is seen.
fn decide(state: &State, observed: &Observations, rules: &Rules, now: u64) -> Verdict {
    if state.percent == 0 {
        return Verdict::Stay;
    }
    if let Some(reading) = judge(observed, &rules.limits) {
        return match observed.tasks {
            Some(0) => Verdict::NoTasks(reading.to_string()),
            // Where nobody says, it goes back: what waits in a queue is not lost, dead letters may be.
            Some(_) | None => Verdict::Change(Wish::Trigger(state.revision), reading.to_string()),
        };
    }
    let dwelt = state.dwell_left(rules.dwell, now) == Duration::ZERO;
    if rules.advance && dwelt && next(state.percent).is_some() && may_advance(observed, &rules.limits) {
        return Verdict::Change(Wish::Advance(state.revision), "the dwell is over and no limit was passed".to_owned());
    }
    Verdict::Stay
}

impl Watcher {
    /// Looks until `stop`.
    ///
    /// # Errors
    /// The state cannot be read for a reason that a person must mend.
    pub async fn run(&self, stop: &watch::Receiver<bool>) -> Result<(), RecordError> {
        let mut stop = stop.clone();
        let mut clock = interval(self.rules.look);
        clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // A revision that is bad, and why: nothing goes to Batch any more, whether or not that can be written down yet.
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
            Some((revision, why)) => Verdict::Change(Wish::Trigger(*revision), why.clone()),
            None => {
                *bad = None;
                self.percent.send_replace(Some(state.percent));
                self.judge(&state).await
            }
        };
        let (wish, why) = match verdict {
            Verdict::Stay => return Ok(()),
            Verdict::NoTasks(why) => {
                let remedy = "start tasks of the ECS service (ecs.detection); the rollback follows";
                tracing::error!(why, remedy, "cutover.no_tasks");
                return Ok(());
            }
            Verdict::Change(wish, why) => (wish, why),
        };
        if let Wish::Trigger(revision) = wish {
            self.percent.send_replace(Some(0));
            *bad = Some((revision, why.clone()));
        }
        let note = Note { dead_letters: self.observer.dead_letters().await, ..(self.notes)(why.clone()) };
        match self.within(record::change(self.cell.as_ref(), wish, &note, self.rules.dwell)).await {
            Ok(state) => {
                self.percent.send_replace(Some(state.percent));
                match wish {
                    Wish::Trigger(_) => tracing::error!(why, "cutover.rolled_back"),
                    _ => tracing::warn!(percent = state.percent, "cutover.advanced"),
                }
                Ok(())
            }
            // Another watcher was faster; the next look sees what is.
            Err(RecordError::Refused(Refused::Changed | Refused::InForce(_) | Refused::Dwell { .. })) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn judge(&self, state: &State) -> Verdict {
        if state.percent == 0 {
            return Verdict::Stay;
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
        let limits = Limits {
            images: 10,
            failure_ratio: 0.1,
            p99_seconds: 0.0,
            queue_age_seconds: 60.0,
            dead_letters: 0.0,
            dollars_per_thousand: 0.0,
            interruptions: 0.0,
            dollars_an_hour: 0.0,
        };
        let rules = |advance| Rules { look: Duration::from_secs(1), dwell: Duration::from_secs(60), advance, limits };
        let seen = |images, failed| Observations {
            batch: Some(SideStats { images, failed, ..SideStats::default() }),
            stalled: Some(Duration::ZERO),
            ..Observations::default()
        };
        let now = 1_000_000;
        for (percent, ago, advance, observed, expected) in [
            (50, 60, true, seen(20, 0), Some(Wish::Advance(3))),
            (50, 59, true, seen(20, 0), None),
            (50, 60, false, seen(20, 0), None),
            (50, 60, true, seen(9, 0), None),
            (50, 60, true, Observations::default(), None),
            (100, 60, true, seen(20, 0), None),
            (50, 1, false, seen(20, 3), Some(Wish::Trigger(3))),
            (100, 600, true, seen(20, 3), Some(Wish::Trigger(3))),
            (0, 600, true, seen(20, 3), None),
        ] {
            let state = State { revision: 3, percent, since: now - ago * 1000, ..State::default() };
            let wish = match decide(&state, &observed, &rules(advance), now) {
                Verdict::Stay | Verdict::NoTasks(_) => None,
                Verdict::Change(wish, _) => Some(wish),
            };
            assert_eq!(wish, expected, "{percent} % for {ago} s, advance {advance}, {observed:?}");
        }
        let state = State { revision: 3, percent: 50, since: now - 60_000, ..State::default() };
        let verdict = |tasks, failed| decide(&state, &Observations { tasks, ..seen(20, failed) }, &rules(true), now);
        for (tasks, rolls_back) in [(None, true), (Some(1), true), (Some(0), false)] {
            let bad = verdict(tasks, 3);
            assert_eq!(matches!(bad, Verdict::Change(Wish::Trigger(3), _)), rolls_back, "{tasks:?} tasks: {bad:?}");
            assert_eq!(matches!(bad, Verdict::NoTasks(_)), !rolls_back, "{tasks:?} tasks: {bad:?}");
            assert!(matches!(verdict(tasks, 0), Verdict::Change(Wish::Advance(3), _)), "a good side goes on");
        }
    }
}
