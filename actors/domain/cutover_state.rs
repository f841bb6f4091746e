//! How many images go to Batch, since when, and who decided it. Pure.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The percentages, in the order in which they are gone through.
pub const STEPS: [u8; 6] = [0, 10, 25, 50, 75, 100];
/// Entries of the trail that are kept: the newest.
pub const KEPT: usize = 500;
/// Characters of a reason.
const REASON: usize = 500;

/// The step after a percentage.
pub fn next(percent: u8) -> Option<u8> {
    STEPS.into_iter().find(|step| *step > percent)
}

/// What is in force, and how it came to be. Times are milliseconds since 1970 (UTC).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// Changes so far.
    pub revision: u64,
    /// Percentage of the images that go to Batch.
    pub percent: u8,
    /// Since when.
    pub since: u64,
    /// Messages in the dead-letter queue when it began; `None` where nobody could say.
    pub dead_letters: Option<u64>,
    /// Why it was rolled back by itself: a person looks at it before it goes on.
    pub held: Option<String>,
    /// What was changed, oldest first.
    pub trail: Vec<Entry>,
}

/// A change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Names it: no other has it.
    pub id: String,
    /// When.
    pub at: u64,
    /// Who.
    pub by: String,
    /// What was done.
    pub what: What,
    /// The percentage before.
    pub from: u8,
    /// The percentage from then on.
    pub to: u8,
    /// Why.
    pub why: String,
}

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// A person set a step.
    Set,
    /// A person set it against the rules.
    Forced,
    /// A watcher went a step on.
    Advanced,
    /// A person rolled back.
    RolledBack,
    /// A watcher rolled back.
    Triggered,
}

impl What {
    /// For a person.
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

/// What somebody wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// This percentage. Down is always allowed; up by one step, after the dwell, unless it is forced.
    Set {
        /// One of [`STEPS`].
        to: u8,
        /// Against the rules.
        force: bool,
    },
    /// The next step, if the state still is this revision.
    Advance(u64),
    /// None of the images.
    RollBack,
    /// None of the images, if the state still is the revision that was judged.
    Trigger(u64),
}

/// Who wants it, when and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Names the change: no other has it.
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

/// Why a wish is not granted. Each says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Not a step.
    #[error("{0} % is no step: set one of {list}", list = Steps)]
    NoStep(u8),
    /// It is so already.
    #[error("{0} % is in force already")]
    InForce(u8),
    /// Over a step.
    #[error("{to} % is more than one step from {from} %: set {next}, or say --force")]
    Jump {
        /// In force.
        from: u8,
        /// Wanted.
        to: u8,
        /// The next step.
        next: u8,
    },
    /// Too soon.
    #[error("{percent} % is in force for less than cutover.dwell_seconds: wait {left} s, or say --force")]
    Dwell {
        /// In force.
        percent: u8,
        /// Seconds that are left.
        left: u64,
    },
    /// It was rolled back by itself.
    #[error(
        "it was rolled back by itself: {0}. Look at `muster cutover status`, at the dead letters and at the log of the Batch \
         workers; when the cause is mended, say --force"
    )]
    Held(String),
    /// Somebody has changed it since it was looked at.
    #[error("somebody has changed it meanwhile")]
    Changed,
}

struct Steps;

impl fmt::Display for Steps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&STEPS.map(|step| step.to_string()).join(", "))
    }
}

impl State {
    /// Time that is left of a dwell, `now` in milliseconds since 1970. None is left at 0: nothing is tried there.
    pub fn dwell_left(&self, dwell: Duration, now: u64) -> Duration {
        let over = Duration::from_millis(now.saturating_sub(self.since));
        if self.percent == 0 { Duration::ZERO } else { dwell.saturating_sub(over) }
    }

    /// Whether a change is in the trail.
    pub fn holds(&self, id: &str) -> bool {
        self.trail.iter().any(|entry| entry.id == id)
    }

    /// The state after a wish.
    ///
    /// # Errors
    /// Why it is not granted.
    pub(crate) fn grant(&self, wish: Wish, note: &Note, dwell: Duration) -> Result<Self, Refused> {
        let (what, to) = match wish {
            Wish::Set { to, force } => {
                let lawful = self.may_set(to, dwell, note.at);
                match lawful {
                    Ok(()) => (What::Set, to),
                    Err(Refused::NoStep(_) | Refused::InForce(_)) => return lawful.map(|()| self.clone()),
                    Err(_) if force => (What::Forced, to),
                    Err(refused) => return Err(refused),
                }
            }
            Wish::Advance(revision) | Wish::Trigger(revision) if revision != self.revision => {
                return Err(Refused::Changed);
            }
            Wish::Advance(_) => {
                let to = next(self.percent).ok_or(Refused::InForce(self.percent))?;
                self.may_set(to, dwell, note.at)?;
                (What::Advanced, to)
            }
            Wish::RollBack => (What::RolledBack, 0),
            Wish::Trigger(_) => (What::Triggered, 0),
        };
        if to == self.percent {
            return Err(Refused::InForce(to));
        }
        let why: String = note.why.chars().take(REASON).collect();
        let entry = Entry {
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
        let held = (what == What::Triggered).then_some(why);
        Ok(Self {
            revision: self.revision.wrapping_add(1),
            percent: to,
            since: note.at,
            dead_letters: note.dead_letters,
            held,
            trail,
        })
    }

    fn may_set(&self, to: u8, dwell: Duration, now: u64) -> Result<(), Refused> {
        if !STEPS.contains(&to) {
            return Err(Refused::NoStep(to));
        }
        if to == self.percent {
            return Err(Refused::InForce(to));
        }
        if to < self.percent {
            return Ok(());
        }
        if let Some(why) = &self.held {
            return Err(Refused::Held(why.clone()));
        }
        let next = next(self.percent).unwrap_or(100);
        if to > next {
            return Err(Refused::Jump { from: self.percent, to, next });
        }
        let left = self.dwell_left(dwell, now);
        if left > Duration::ZERO {
            return Err(Refused::Dwell { percent: self.percent, left: left.as_millis().div_ceil(1000) as u64 });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DWELL: Duration = Duration::from_secs(60);
    const NOW: u64 = 1_000_000;

    fn note() -> Note {
        Note { id: "id".into(), at: NOW, by: "me".into(), why: "because".into(), dead_letters: Some(3) }
    }

    fn state(percent: u8, ago: u64, held: bool) -> State {
        let held = held.then(|| "2 of 3 failed".to_owned());
        State { revision: 7, percent, since: NOW - ago * 1000, held, ..State::default() }
    }

    #[test]
    fn after_the_last_revision_comes_another() {
        let last = State { revision: u64::MAX, ..state(10, 60, false) };
        let after = last.grant(Wish::RollBack, &note(), DWELL).unwrap();
        assert_ne!(after.revision, last.revision);
    }

    #[test]
    fn every_wish_is_granted_or_refused_with_its_reason() {
        use Refused::{Changed, Dwell, Held, InForce, Jump, NoStep};
        use What::{Advanced, Forced, RolledBack, Set, Triggered};
        let set = |to| Wish::Set { to, force: false };
        let force = |to| Wish::Set { to, force: true };
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
            (10, 60, false, Wish::Advance(7), Ok((Advanced, 25))),
            (10, 59, false, Wish::Advance(7), Err(Dwell { percent: 10, left: 1 })),
            (10, 60, false, Wish::Advance(6), Err(Changed)),
            (100, 60, false, Wish::Advance(7), Err(InForce(100))),
            (0, 60, true, Wish::Advance(7), Err(held())),
            (75, 1, false, Wish::RollBack, Ok((RolledBack, 0))),
            (0, 1, false, Wish::RollBack, Err(InForce(0))),
            (75, 1, false, Wish::Trigger(7), Ok((Triggered, 0))),
            (75, 1, false, Wish::Trigger(8), Err(Changed)),
            (0, 1, false, Wish::Trigger(7), Err(InForce(0))),
        ] {
            let before = state(percent, ago, is_held);
            let granted = before.grant(wish, &note(), DWELL);
            let got = granted.as_ref().map(|after| (after.trail[0].what, after.percent));
            assert_eq!(got, expected.as_ref().copied(), "{wish:?} at {percent} for {ago} s");
            let Ok(after) = granted else { continue };
            assert_eq!((after.revision, after.since, after.dead_letters), (8, NOW, Some(3)));
            assert_eq!((after.trail[0].from, after.trail[0].to), (percent, after.percent));
            // It goes on only when somebody has looked.
            assert_eq!(after.held.is_some(), wish == Wish::Trigger(7), "{wish:?}");
        }
    }

    #[test]
    fn the_trail_keeps_the_newest_entries() {
        let mut state = State::default();
        for n in 0..2 * KEPT {
            let to = if n % 2 == 0 { 10 } else { 0 };
            let note = Note { id: n.to_string(), why: "é".repeat(2 * REASON), ..note() };
            state = state.grant(Wish::Set { to, force: true }, &note, DWELL).unwrap();
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
