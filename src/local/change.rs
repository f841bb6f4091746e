//! What a person says of groups and faces: into the log, and the groups anew.

use std::collections::BTreeSet;

use muster_actors::gallery::{Decision, GalleryId, GallerySnapshot, GroupId, Partition, Reconciled, Verdict};
use muster_actors::grouper::hold::hold;
use muster_actors::grouper::say::{Say, SayError};
use muster_actors::ports::index::IndexError;

use super::told::Told;
use super::{GALLERY, Library, LibraryError, decisions, groups};

/// Groups a gallery anew.
pub type Regroup<'a> = &'a dyn Fn(GallerySnapshot) -> Result<Reconciled, IndexError>;

/// Why nothing, or not all, came of it.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ChangeError {
    /// It makes no sense as the groups stand.
    #[error(transparent)]
    Say(#[from] SayError),
    /// The log is empty.
    #[error("nothing to take back")]
    Nothing,
    /// What was said is kept.
    #[error("grouping failed ({0}): what you said is kept, `muster index` applies it")]
    Grouping(#[from] IndexError),
    /// The library failed.
    #[error(transparent)]
    Library(#[from] LibraryError),
}

fn gallery() -> GalleryId {
    GalleryId(GALLERY.to_owned())
}

/// How often what is held apart may tip something else.
const ROUNDS: u64 = 8;

/// Notes what a person says, and applies it.
pub fn say(library: &mut Library, say: &Say, regroup: Regroup<'_>) -> Result<Told, ChangeError> {
    let now = groups::snapshot(library.db_mut(), &gallery())?;
    let verdicts = say.verdicts(&now)?;
    let (before, joins) = (now.previous.clone(), say.joins(&now));
    note(library, now, &verdicts, &joins, regroup)?;
    apply(library, say.past(), verdicts, &before, regroup)
}

/// Takes back what was said last.
pub fn undo(library: &mut Library, regroup: Regroup<'_>) -> Result<Told, ChangeError> {
    let now = groups::snapshot(library.db_mut(), &gallery())?;
    let undone = decisions::undo(library.db_mut(), &gallery())?;
    if undone.is_empty() {
        return Err(ChangeError::Nothing);
    }
    let verdicts = undone.into_iter().map(|decision| decision.verdict).collect();
    apply(library, "undone", verdicts, &now.previous, regroup)
}

/// Puts verdicts into the log, as one batch with what holds all other groups apart.
pub fn note(
    library: &mut Library,
    mut now: GallerySnapshot,
    verdicts: &[Verdict],
    joins: &BTreeSet<GroupId>,
    regroup: Regroup<'_>,
) -> Result<(), ChangeError> {
    let mut said = verdicts.to_vec();
    let mut fresh = said.clone();
    let mut seq = now.decisions.last().map_or(0, |decision| decision.seq);
    for _ in 0..ROUNDS {
        for verdict in fresh {
            seq += 1;
            now.decisions.push(Decision { seq, batch: u64::MAX, verdict });
        }
        let after = regroup(now.clone())?;
        fresh = hold(&now.previous, &after.partition, joins);
        fresh.retain(|verdict| !said.contains(verdict));
        if fresh.is_empty() {
            break;
        }
        said.extend(fresh.iter().cloned());
    }
    decisions::append(library.db_mut(), &gallery(), &said)?;
    Ok(())
}

/// Groups the faces as they are anew.
pub fn regroup(library: &mut Library, regroup: Regroup<'_>) -> Result<Reconciled, ChangeError> {
    let snapshot = groups::snapshot(library.db_mut(), &gallery())?;
    let generation = snapshot.generation;
    let after = regroup(snapshot)?;
    groups::save(library.db_mut(), &gallery(), generation, &after)?;
    Ok(after)
}

fn apply(
    library: &mut Library,
    said: &'static str,
    verdicts: Vec<Verdict>,
    before: &Partition,
    regroup: Regroup<'_>,
) -> Result<Told, ChangeError> {
    let after = self::regroup(library, regroup)?;
    Ok(Told::new(said, verdicts, before, after))
}
