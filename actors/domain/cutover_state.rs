//! The state of a cutover: the share of images that go to Batch, with its audit trail. Pure functions.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The steps of a cutover in percent, in order.
pub const STEPS: [u8; 6] = [0, 10, 25, 50, 75, 100];
/// Number of entries of the trail that are kept, the newest ones.
pub const KEPT: usize = 500;
/// Most characters of a reason.
const REASON: usize = 500;

/// Returns the step after a percentage.
pub fn next(percent: u8) -> Option<u8> {
    STEPS.into_iter().find(|step| *step > percent)
}

/// The state of a cutover with its history. Times are milliseconds since 1970 (UTC).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CutoverState {
    /// Number of changes so far.
    pub revision: u64,
    /// Percentage of the images that go to Batch.
    pub percent: u8,
    /// Time since which it is in force.
    pub since: u64,
    /// Messages in the dead-letter queue when it began; `None` where that is unknown.
    pub dead_letters: Option<u64>,
    /// Reason of an automatic rollback. Somebody must investigate before the cutover goes on.
    pub held: Option<String>,
    /// The audit trail, oldest entry first.
    pub trail: Vec<AuditEntry>,
}

/// An entry of the audit trail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// Unique id of the change.
    pub id: String,
    /// Time of the change.
    pub at: u64,
    /// Author of the change.
    pub by: String,
    /// The action.
    pub what: AuditAction,
    /// The percentage before.
    pub from: u8,
    /// The percentage from then on.
    pub to: u8,
    /// Reason of the change.
    pub why: String,
}

/// An action in the audit trail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuditAction {
    /// A person set a step.
    Set,
    /// A person forced a step.
    Forced,
    /// A watcher went on to the next step.
    Advanced,
    /// A person rolled back.
    RolledBack,
    /// A watcher rolled back.
    Triggered,
}

impl AuditAction {
    /// Returns the words for people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Set => "set",
            Self::Forced => "forced",
            Self::Advanced => "advanced",
            Self::RolledBack => "rolled back",
            Self::Triggered => "rolled back by itself",
        }
    }
}

/// A command that changes the state of a cutover.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CutoverCommand {
    /// Sets a percentage. Down is always allowed; up by one step, after the dwell, unless it is forced.
    Set {
        /// One of [`STEPS`].
        to: u8,
        /// Whether the rules are ignored.
        force: bool,
    },
    /// Goes on to the next step, if the state still is this revision.
    Advance(u64),
    /// Rolls back to ECS.
    RollBack,
    /// Rolls back to ECS, if the state still is the revision that was judged.
    Trigger(u64),
}

/// The author, time and reason of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangeNote {
    /// Unique id of the change.
    pub id: String,
    /// Milliseconds since 1970.
    pub at: u64,
    /// Who.
    pub by: String,
    /// Why.
    pub why: String,
    /// Messages in the dead-letter queue, where they are known.
    pub dead_letters: Option<u64>,
}

/// Reasons why a command is refused. Each says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CutoverRefusal {
    /// The percentage is not a step.
    #[error("{0} % is no step: set one of {list}", list = Steps)]
    NoStep(u8),
    /// The percentage is in force already.
    #[error("{0} % is in force already")]
    InForce(u8),
    /// A step would be skipped.
    #[error("{to} % is more than one step from {from} %: set {next}, or say --force")]
    Jump {
        /// Percentage in force.
        from: u8,
        /// Wanted.
        to: u8,
        /// The next step.
        next: u8,
    },
    /// The dwell is not over.
    #[error("{percent} % is in force for less than cutover.dwell_seconds: wait {left} s, or say --force")]
    Dwell {
        /// In force.
        percent: u8,
        /// Seconds that are left.
        left: u64,
    },
    /// A watcher has rolled back, and nobody has investigated.
    #[error(
        "it was rolled back by itself: {0}. Look at `muster cutover status`, at the dead letters and at the log of the Batch \
         workers; when the cause is mended, say --force"
    )]
    Held(String),
    /// The state has changed since it was read.
    #[error("somebody has changed it meanwhile")]
    Changed,
}

struct Steps;

impl fmt::Display for Steps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&STEPS.map(|step| step.to_string()).join(", "))
    }
}

impl CutoverState {
    /// Returns the remaining time of a dwell, `now` in milliseconds since 1970. There is none at 0 percent.
    pub fn dwell_left(&self, dwell: Duration, now: u64) -> Duration {
        let over = Duration::from_millis(now.saturating_sub(self.since));
        if self.percent == 0 { Duration::ZERO } else { dwell.saturating_sub(over) }
    }

    /// Tells whether a change is in the trail.
    pub fn holds(&self, id: &str) -> bool {
        self.trail.iter().any(|entry| entry.id == id)
    }

    /// Returns the state after a command.
    ///
    /// # Errors
    /// The command is refused.
    pub(crate) fn grant(
        &self,
        wish: CutoverCommand,
        note: &ChangeNote,
        dwell: Duration,
    ) -> Result<Self, CutoverRefusal> {
        let (what, to) = match wish {
            CutoverCommand::Set { to, force } => {
                let lawful = self.may_set(to, dwell, note.at);
                match lawful {
                    Ok(()) => (AuditAction::Set, to),
                    Err(CutoverRefusal::NoStep(_) | CutoverRefusal::InForce(_)) => {
                        return lawful.map(|()| self.clone());
                    }
                    Err(_) if force => (AuditAction::Forced, to),
                    Err(refused) => return Err(refused),
                }
            }
            CutoverCommand::Advance(revision) | CutoverCommand::Trigger(revision) if revision != self.revision => {
                return Err(CutoverRefusal::Changed);
            }
            CutoverCommand::Advance(_) => {
                let to = next(self.percent).ok_or(CutoverRefusal::InForce(self.percent))?;
                self.may_set(to, dwell, note.at)?;
                (AuditAction::Advanced, to)
            }
            CutoverCommand::RollBack => (AuditAction::RolledBack, 0),
            CutoverCommand::Trigger(_) => (AuditAction::Triggered, 0),
        };
        if to == self.percent {
            return Err(CutoverRefusal::InForce(to));
        }
        let why: String = note.why.chars().take(REASON).collect();
        let entry = AuditEntry {
            id: note.id.clone(),
            at: note.at,
            by: note.by.clone(),
            what,
            from: self.percent,
            to,
            why: why.clone(),
        };
        let mut trail = self.trail.clone();
        trail.push(entry);
        trail.drain(..trail.len().saturating_sub(KEPT));
        let held = (what == AuditAction::Triggered).then_some(why);
        Ok(Self {
            revision: self.revision.wrapping_add(1),
            percent: to,
            since: note.at,
            dead_letters: note.dead_letters,
            held,
            trail,
        })
    }

    fn may_set(&self, to: u8, dwell: Duration, now: u64) -> Result<(), CutoverRefusal> {
        if !STEPS.contains(&to) {
            return Err(CutoverRefusal::NoStep(to));
        }
        if to == self.percent {
            return Err(CutoverRefusal::InForce(to));
        }
        if to < self.percent {
            return Ok(());
        }
        if let Some(why) = &self.held {
            return Err(CutoverRefusal::Held(why.clone()));
        }
        let next = next(self.percent).unwrap_or(100);
        if to > next {
            return Err(CutoverRefusal::Jump { from: self.percent, to, next });
        }
        let left = self.dwell_left(dwell, now);
        if left > Duration::ZERO {
            return Err(CutoverRefusal::Dwell { percent: self.percent, left: left.as_millis().div_ceil(1000) as u64 });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DWELL: Duration = Duration::from_secs(60);
    const NOW: u64 = 1_000_000;

    fn note() -> ChangeNote {
        ChangeNote { id: "id".into(), at: NOW, by: "me".into(), why: "because".into(), dead_letters: Some(3) }
    }

    fn state(percent: u8, ago: u64, held: bool) -> CutoverState {
        let held = held.then(|| "2 of 3 failed".to_owned());
        CutoverState { revision: 7, percent, since: NOW - ago * 1000, held, ..CutoverState::default() }
    }

    #[test]
    fn after_the_last_revision_comes_another() {
        let last = CutoverState { revision: u64::MAX, ..state(10, 60, false) };
        let after = last.grant(CutoverCommand::RollBack, &note(), DWELL).unwrap();
        assert_ne!(after.revision, last.revision);
    }

    #[test]
    fn every_wish_is_granted_or_refused_with_its_reason() {
        use AuditAction::{Advanced, Forced, RolledBack, Set, Triggered};
        use CutoverRefusal::{Changed, Dwell, Held, InForce, Jump, NoStep};
        let set = |to| CutoverCommand::Set { to, force: false };
        let force = |to| CutoverCommand::Set { to, force: true };
        let held = || Held("2 of 3 failed".into());
        for (percent, ago, is_held, wish, expected) in [
            (0, 0, false, set(10), Ok((Set, 10))),
            (0, 0, false, set(25), Err(Jump { from: 0, to: 25, next: 10 })),
            (0, 0, false, force(25), Ok((Forced, 25))),
            (10, 60, false, set(25), Ok((Set, 25))),
            (10, 59, false, set(25), Err(Dwell { percent: 10, left: 1 })),
            (10, 59, false, force(25), Ok((Forced, 25))),
            (10, 60, false, force(25), Ok((Set, 25))),
            (10, 60, false, set(50), Err(Jump { from: 10, to: 50, next: 25 })),
            (10, 60, false, set(10), Err(InForce(10))),
            (10, 60, false, force(10), Err(InForce(10))),
            (10, 60, false, set(30), Err(NoStep(30))),
            (10, 60, false, force(101), Err(NoStep(101))),
            // Down is always allowed.
            (100, 1, false, set(25), Ok((Set, 25))),
            (100, 1, false, set(0), Ok((Set, 0))),
            (0, 600, true, set(10), Err(held())),
            (0, 600, true, force(10), Ok((Forced, 10))),
            (10, 60, false, CutoverCommand::Advance(7), Ok((Advanced, 25))),
            (10, 59, false, CutoverCommand::Advance(7), Err(Dwell { percent: 10, left: 1 })),
            (10, 60, false, CutoverCommand::Advance(6), Err(Changed)),
            (100, 60, false, CutoverCommand::Advance(7), Err(InForce(100))),
            (0, 60, true, CutoverCommand::Advance(7), Err(held())),
            (75, 1, false, CutoverCommand::RollBack, Ok((RolledBack, 0))),
            (0, 1, false, CutoverCommand::RollBack, Err(InForce(0))),
            (75, 1, false, CutoverCommand::Trigger(7), Ok((Triggered, 0))),
            (75, 1, false, CutoverCommand::Trigger(8), Err(Changed)),
            (0, 1, false, CutoverCommand::Trigger(7), Err(InForce(0))),
        ] {
            let before = state(percent, ago, is_held);
            let granted = before.grant(wish, &note(), DWELL);
            let got = granted.as_ref().map(|after| (after.trail[0].what, after.percent));
            assert_eq!(got, expected.as_ref().copied(), "{wish:?} at {percent} for {ago} s");
            let Ok(after) = granted else { continue };
            assert_eq!((after.revision, after.since, after.dead_letters), (8, NOW, Some(3)));
            assert_eq!((after.trail[0].from, after.trail[0].to), (percent, after.percent));
            // It goes on only when somebody has looked.
            assert_eq!(after.held.is_some(), wish == CutoverCommand::Trigger(7), "{wish:?}");
        }
    }

    #[test]
    fn the_trail_keeps_the_newest_entries() {
        let mut state = CutoverState::default();
        for n in 0..2 * KEPT {
            let to = if n % 2 == 0 { 10 } else { 0 };
            let note = ChangeNote { id: n.to_string(), why: "é".repeat(2 * REASON), ..note() };
            state = state.grant(CutoverCommand::Set { to, force: true }, &note, DWELL).unwrap();
        }
        assert_eq!((state.trail.len(), state.trail[0].id.as_str()), (KEPT, "500"));
        assert_eq!(state.trail[0].why.chars().count(), REASON);
        assert!(state.holds("999") && !state.holds("499"));
    }

    #[test]
    fn the_steps_follow_one_another() {
        let steps: Vec<u8> = std::iter::successors(Some(0), |percent| next(*percent)).collect();
        assert_eq!(steps, STEPS);
        assert_eq!(next(30), Some(50));
    }
}
