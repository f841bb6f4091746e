//! What a person says of groups and faces: into the log, and the groups anew.

use muster_actors::domain::gallery::{GalleryId, GallerySnapshot, Reconciled, Verdict};
use muster_actors::grouping::hold::{Settled, Spoken, settle};
use muster_actors::grouping::say::{Say, SayError};
use muster_actors::ports::index::IndexError;
use muster_gallery::{AlbumError, LIBRARY_GALLERY};

use super::{Library, LibraryError, decisions, groups};
use muster_gallery::told::Told;

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
    /// What was said before is kept.
    #[error("grouping failed ({0}): `muster index` groups anew")]
    Grouping(#[from] IndexError),
    /// The library failed.
    #[error(transparent)]
    Library(#[from] LibraryError),
}

impl From<ChangeError> for AlbumError {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::Say(error) => Self::Say(error),
            ChangeError::Nothing => Self::Nothing,
            ChangeError::Grouping(error) => Self::Grouping(error),
            ChangeError::Library(error) => error.into(),
        }
    }
}

fn gallery() -> GalleryId {
    GalleryId(LIBRARY_GALLERY.to_owned())
}

/// Notes what a person says, and applies it.
pub fn say(library: &mut Library, say: &Say, regroup: Regroup<'_>) -> Result<Told, ChangeError> {
    let now = groups::snapshot(library.db_mut(), &gallery())?;
    let verdicts = say.verdicts(&now)?;
    let (before, spoken) = (now.previous.clone(), say.spoken(&now));
    let after = note(library, now, &verdicts, &spoken, regroup)?;
    Ok(Told::new(say.past(), verdicts, &before, after))
}

/// Takes back what was said last.
pub fn undo(library: &mut Library, regroup: Regroup<'_>) -> Result<Told, ChangeError> {
    let now = groups::snapshot(library.db_mut(), &gallery())?;
    let undone = decisions::undo(library.db_mut(), &gallery())?;
    if undone.is_empty() {
        return Err(ChangeError::Nothing);
    }
    let verdicts = undone.into_iter().map(|decision| decision.verdict).collect();
    let after = self::regroup(library, regroup)?;
    Ok(Told::new("undone", verdicts, &now.previous, after))
}

/// Puts verdicts into the log, as one batch with what holds all other groups apart, and saves the groups that follow.
pub fn note(
    library: &mut Library,
    now: GallerySnapshot,
    verdicts: &[Verdict],
    spoken: &Spoken,
    regroup: Regroup<'_>,
) -> Result<Reconciled, ChangeError> {
    let Settled { said, after } = settle(now, verdicts, spoken, regroup)?;
    decisions::append(library.db_mut(), &gallery(), &said)?;
    let generation = groups::generation(library.db(), &gallery())?;
    groups::save(library.db_mut(), &gallery(), generation, &after)?;
    Ok(after)
}

/// Groups the faces as they are anew.
pub fn regroup(library: &mut Library, regroup: Regroup<'_>) -> Result<Reconciled, ChangeError> {
    let snapshot = groups::snapshot(library.db_mut(), &gallery())?;
    let generation = snapshot.generation;
    let after = regroup(snapshot)?;
    groups::save(library.db_mut(), &gallery(), generation, &after)?;
    Ok(after)
}
