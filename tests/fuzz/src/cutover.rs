//! The record of a cutover: what is no state changes nothing, and what follows from one is a state.

use std::time::Duration;

use muster_actors::cutover::record::{RecordError, change, read};
use muster_actors::domain::cutover_state::{ChangeNote, CutoverCommand, KEPT, STEPS};

use super::shelf::{Shelf, now};

const DWELL: Duration = Duration::from_secs(60);

/// Bytes as the record, and every wish on it.
pub fn cutover(data: &[u8]) {
    let before = match now(read(&Shelf::new(data))) {
        Ok((state, _)) => state,
        Err(RecordError::Garbled(why)) => return assert!(!why.is_empty()),
        Err(error) => panic!("a shelf does not fail: {error}"),
    };
    assert!(before.percent <= 100);
    let id = (0u32..).map(|n| n.to_string()).find(|id| !before.holds(id)).expect("one is free");
    let note =
        ChangeNote { id, at: 1_700_000_000_000, by: "me".to_owned(), why: "w".repeat(900), dead_letters: Some(3) };
    let sets = (0..=101).step_by(5).flat_map(|to| [false, true].map(|force| CutoverCommand::Set { to, force }));
    let revised = [
        CutoverCommand::Advance(before.revision),
        CutoverCommand::Trigger(before.revision),
        CutoverCommand::Trigger(!before.revision),
    ];
    for wish in sets.chain(revised).chain([CutoverCommand::RollBack]) {
        let shelf = Shelf::new(data);
        match now(change(&shelf, wish, &note, DWELL)) {
            Ok(after) => {
                assert!(STEPS.contains(&after.percent) && after.percent != before.percent, "{wish:?}");
                assert_ne!(after.revision, before.revision, "{wish:?}");
                assert!((1..=KEPT).contains(&after.trail.len()));
                let last = after.trail.last().expect("it is not empty");
                assert_eq!((last.from, last.to, last.id == note.id), (before.percent, after.percent, true));
                assert!(last.why.chars().count() <= 500);
                assert_eq!(now(read(&shelf)).expect("what was written").0, after);
            }
            Err(RecordError::Refused(_)) => assert_eq!(shelf.held(), (0, data.to_vec()), "{wish:?}"),
            Err(error) => panic!("{wish:?}: {error}"),
        }
    }
}
