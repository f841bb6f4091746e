//! What follows from an error: the table of `docs/errors.md` as one pure function.

use std::time::Duration;

use crate::domain::exit::{Exit, Remedy};
use crate::errors::Class;
use crate::errors::breaker::Outage;

/// What is known when an error is routed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct History {
    /// Attempts made on this item in this stage, this one included.
    pub attempts: u32,
    /// Attempts that an item has in a stage.
    pub max_attempts: u32,
    /// The stage's retry budget has a retry left.
    pub budget: bool,
    /// Whether the dependency behind the stage is down for everybody.
    pub outage: Outage,
    /// Items in the batch that failed.
    pub batch: usize,
    /// The engine was rebuilt since the trouble began.
    pub rebuilt: bool,
    /// What a known good image said of the rebuilt engine.
    pub proof: Proof,
    /// Other devices of this run that are alive.
    pub others: usize,
    /// An item in hand was on a device whose engine broke for good, or had a receive without an end: it may be what breaks engines.
    pub doubted: bool,
    /// Receives of the item that had no end: neither a release nor a result.
    pub deaths: u32,
    /// Receives without an end after which a suspect is rejected.
    pub max_receives: u32,
}

impl Default for History {
    fn default() -> Self {
        Self {
            attempts: 1,
            max_attempts: 1,
            budget: true,
            outage: Outage::None,
            batch: 1,
            rebuilt: false,
            proof: Proof::None,
            others: 0,
            doubted: false,
            deaths: 0,
            max_receives: 10,
        }
    }
}

/// What a known good image said of a rebuilt engine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Proof {
    /// Nothing: none was tried, or none is known.
    #[default]
    None,
    /// It ran: the engine works, so the item is at fault.
    Works,
    /// It did not run any more, or the engine could not even be rebuilt.
    Broken,
}

/// Times an image must break the engine alone before it is to blame: once or twice may be chance.
pub(crate) const ALONE: u32 = 3;

/// Why the whole program leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum FatalReason {
    /// A dependency is down.
    DependencyDown,
    /// The engine stayed broken.
    Engine,
    /// The machine is broken.
    HostFault,
    /// No progress.
    Hang,
    /// A person must mend something.
    Misconfigured(Remedy),
}

impl FatalReason {
    /// The exit of a run that ends for this reason.
    pub(crate) fn exit(self, detail: String) -> Exit {
        match self {
            Self::DependencyDown => Exit::DependencyDown(detail),
            Self::Engine => Exit::Engine(detail),
            Self::HostFault => Exit::HostFault(detail),
            Self::Hang => Exit::Hang(detail),
            Self::Misconfigured(mend) => Exit::Misconfigured(mend, detail),
        }
    }
}

/// What becomes of an item whose call is not tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Terminal {
    /// It goes back to the queue: another attempt may succeed.
    Release,
    /// It goes to the dead letters.
    Reject,
    /// Somebody else has it: it is forgotten.
    Drop,
    /// It goes back to the queue, and the whole program ends.
    Leave(FatalReason),
    /// It goes back to the queue: the error is a bug of ours, or one that no call of a port should answer.
    Unexpected,
}

/// What to do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Strategy {
    /// Wait (backoff with full jitter), then try again.
    Retry,
    /// Wait like [`Strategy::Retry`] until the dependency is back; the item loses no attempt.
    Await,
    /// The whole stage waits; the item loses no attempt.
    Brake(Option<Duration>),
    /// Give the item back to the queue, visible after a jittered delay.
    Release,
    /// Halve the batch and run the same items again.
    Halve,
    /// Load the models again, then run the same items again, one by one.
    Rebuild,
    /// Load the models again and try other items before this one.
    SetAside,
    /// Give the items to the other devices and do without this one.
    Retire,
    /// Record that this image makes an engine fail, and reject it.
    Isolate,
    /// Record the rejection, dead-letter, delete.
    Reject,
    /// Run the item alone, in a batch of one.
    RunAlone,
    /// The lease is no longer ours: forget the item, settle nothing.
    Drop,
    /// Release everything and leave.
    Leave(FatalReason),
    /// Let the child die; its supervisor starts another.
    Restart,
}

/// The table. No wildcard: a new class does not compile until somebody decides.
pub(crate) fn route(class: Class, history: &History) -> Strategy {
    match class {
        Class::Transient if history.outage == Outage::Over => Strategy::Leave(FatalReason::DependencyDown),
        Class::Transient if history.outage == Outage::Down => Strategy::Await,
        Class::Transient if history.attempts < history.max_attempts && history.budget => Strategy::Retry,
        Class::Transient => Strategy::Release,
        Class::Throttled { retry_after } => Strategy::Brake(retry_after),
        Class::Overload if history.batch > 1 => Strategy::Halve,
        Class::Overload if !history.rebuilt => Strategy::Rebuild,
        // An image that always fitted does not fit any more: the device's memory is gone, to another tenant perhaps.
        Class::Overload if history.proof == Proof::Broken && history.others > 0 && !history.doubted => Strategy::Retire,
        Class::Overload if history.proof == Proof::Broken => Strategy::Leave(FatalReason::Engine),
        Class::Overload => Strategy::Isolate,
        Class::Poison => Strategy::Reject,
        Class::Suspect if history.deaths >= history.max_receives => Strategy::Reject,
        Class::Suspect => Strategy::RunAlone,
        Class::LeaseLost => Strategy::Drop,
        Class::DependencyDown => Strategy::Leave(FatalReason::DependencyDown),
        Class::Engine if !history.rebuilt => Strategy::Rebuild,
        Class::Engine if history.batch == 1 && history.attempts < ALONE => Strategy::SetAside,
        Class::Engine if history.batch == 1 && history.proof == Proof::Works => Strategy::Isolate,
        // One image that breaks engines for good must not take them all along: a second time the run ends.
        Class::Engine if history.proof == Proof::Broken && history.others > 0 && !history.doubted => Strategy::Retire,
        Class::Engine => Strategy::Leave(FatalReason::Engine),
        Class::HostFault if history.others > 0 => Strategy::Retire,
        Class::HostFault => Strategy::Leave(FatalReason::HostFault),
        Class::Hang => Strategy::Leave(FatalReason::Hang),
        Class::Misconfigured(mend) => Strategy::Leave(FatalReason::Misconfigured(mend)),
        Class::Bug => Strategy::Restart,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_is_routed_as_the_error_table_says() {
        let new = History { max_attempts: 3, ..History::default() };
        let worn = History { attempts: 3, ..new };
        let broke = History { budget: false, ..new };
        let eight = History { batch: 8, ..new };
        let rebuilt = History { rebuilt: true, ..new };
        let alone = History { attempts: 3, ..rebuilt };
        let [works, broken] = [Proof::Works, Proof::Broken].map(|proof| History { proof, others: 1, ..alone });
        let [down, over] = [Outage::Down, Outage::Over].map(|outage| History { outage, ..broke });
        let after = Some(Duration::from_secs(7));
        for (class, history, expected) in [
            (Class::Transient, new, Strategy::Retry),
            (Class::Transient, worn, Strategy::Release),
            (Class::Transient, broke, Strategy::Release),
            (Class::Transient, down, Strategy::Await),
            (Class::Transient, over, Strategy::Leave(FatalReason::DependencyDown)),
            (Class::Throttled { retry_after: after }, worn, Strategy::Brake(after)),
            (Class::Throttled { retry_after: None }, broke, Strategy::Brake(None)),
            (Class::Overload, eight, Strategy::Halve),
            (Class::Overload, History { rebuilt: true, ..eight }, Strategy::Halve),
            (Class::Overload, new, Strategy::Rebuild),
            (Class::Overload, rebuilt, Strategy::Isolate),
            (Class::Overload, works, Strategy::Isolate),
            (Class::Overload, broken, Strategy::Retire),
            (Class::Overload, History { others: 0, ..broken }, Strategy::Leave(FatalReason::Engine)),
            (Class::Overload, History { doubted: true, ..broken }, Strategy::Leave(FatalReason::Engine)),
            (Class::Poison, new, Strategy::Reject),
            (Class::Suspect, History { deaths: 2, ..new }, Strategy::RunAlone),
            (Class::Suspect, History { deaths: 9, ..new }, Strategy::RunAlone),
            (Class::Suspect, History { deaths: 10, ..new }, Strategy::Reject),
            (Class::LeaseLost, new, Strategy::Drop),
            (Class::DependencyDown, new, Strategy::Leave(FatalReason::DependencyDown)),
            (Class::Engine, eight, Strategy::Rebuild),
            (Class::Engine, rebuilt, Strategy::SetAside),
            (Class::Engine, History { attempts: 2, ..rebuilt }, Strategy::SetAside),
            (Class::Engine, alone, Strategy::Leave(FatalReason::Engine)),
            (Class::Engine, History { others: 7, ..alone }, Strategy::Leave(FatalReason::Engine)),
            (Class::Engine, works, Strategy::Isolate),
            (Class::Engine, History { batch: 8, ..works }, Strategy::Leave(FatalReason::Engine)),
            (Class::Engine, broken, Strategy::Retire),
            (Class::Engine, History { others: 0, ..broken }, Strategy::Leave(FatalReason::Engine)),
            (Class::Engine, History { doubted: true, ..broken }, Strategy::Leave(FatalReason::Engine)),
            (Class::HostFault, History { others: 1, ..new }, Strategy::Retire),
            (Class::HostFault, History { others: 1, doubted: true, ..new }, Strategy::Retire),
            (Class::HostFault, new, Strategy::Leave(FatalReason::HostFault)),
            (Class::Hang, new, Strategy::Leave(FatalReason::Hang)),
            (Class::Misconfigured(Remedy::Model), new, Strategy::Leave(FatalReason::Misconfigured(Remedy::Model))),
            (Class::Bug, new, Strategy::Restart),
        ] {
            assert_eq!(route(class, &history), expected, "{class:?} {history:?}");
        }
    }
}
