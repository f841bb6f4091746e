//! Corrections of a library: only the groups and faces that are named are read and written, in one transaction.

use std::collections::{BTreeMap, BTreeSet};

use muster_actors::domain::face::FaceId;
use muster_actors::domain::gallery::{GalleryId, GroupId, Lineage};
use muster_actors::grouping::picture::{Member, picture};
use muster_actors::people::undo::UndoError;
use muster_actors::people::{Author, Change, Correction, CorrectionError, Scene, plan, undo};
use muster_gallery::corrected::Corrected;
use muster_gallery::{GalleryError, LIBRARY_GALLERY};
use rusqlite::{Connection, TransactionBehavior, params};

use super::write::{bump, gallery_number};
use super::{LibraryError, facts, history, rows, scene};

/// Why a correction came to nothing.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CorrectError {
    /// It makes no sense as the groups stand.
    #[error(transparent)]
    Correction(#[from] CorrectionError),
    /// There is nothing to take back.
    #[error("nothing to take back")]
    Nothing,
    /// There is no such change.
    #[error("there is no change {0}: `muster people history` lists them")]
    NoChange(u64),
    /// The change cannot be taken back.
    #[error("change {change} cannot be taken back: {error}")]
    Undo {
        /// The change.
        change: u64,
        /// Why.
        error: UndoError,
    },
    /// The library failed.
    #[error(transparent)]
    Library(#[from] LibraryError),
}

impl From<rusqlite::Error> for CorrectError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Library(error.into())
    }
}

impl From<CorrectError> for GalleryError {
    fn from(error: CorrectError) -> Self {
        match error {
            CorrectError::Correction(error) => Self::Correction(error),
            CorrectError::Nothing => Self::Nothing,
            CorrectError::NoChange(number) => Self::NoChange(number),
            CorrectError::Undo { change, error } => Self::Undo { change, error },
            CorrectError::Library(error) => error.into(),
        }
    }
}

/// Notes what somebody says, and applies it.
///
/// # Errors
/// It makes no sense as the groups stand, or the library cannot be written; then nothing is changed.
pub fn correct(db: &mut Connection, correction: &Correction, author: &Author) -> Result<Corrected, CorrectError> {
    // Writers come one at a time: what is read here does not change before it is written.
    let whole = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let gallery = gallery_number(&whole, &GalleryId(LIBRARY_GALLERY.to_owned()))?;
    let scene = scene::read(&whole, gallery, &correction.topic())?;
    let change = plan(&scene, correction, author)?;
    let number = note(&whole, gallery, &scene, &change)?;
    whole.commit()?;
    Ok(Corrected::new(&scene, &change, number))
}

/// Takes a change back: the one with this number, or the last that was not taken back.
///
/// # Errors
/// There is none, or a later change builds on it; then nothing is changed.
pub fn take_back(db: &mut Connection, number: Option<u64>, author: &Author) -> Result<Corrected, CorrectError> {
    let whole = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let gallery = gallery_number(&whole, &GalleryId(LIBRARY_GALLERY.to_owned()))?;
    let found = history::find(&whole, gallery, number)?;
    let kept = found.ok_or_else(|| number.map_or(CorrectError::Nothing, CorrectError::NoChange))?;
    let fault = |error| CorrectError::Undo { change: kept.number, error };
    if kept.is_undone {
        return Err(fault(UndoError::Undone));
    }
    if kept.change.said == history::FORGOTTEN {
        return Err(fault(UndoError::Forgotten));
    }
    let scene = scene::read(&whole, gallery, &kept.change.topic())?;
    let change = undo(&scene, &kept.change, kept.number, author).map_err(fault)?;
    let number = note(&whole, gallery, &scene, &change)?;
    whole.commit()?;
    Ok(Corrected::new(&scene, &change, number))
}

/// Writes a change; its number, if it changes anything.
fn note(db: &Connection, gallery: i64, scene: &Scene, change: &Change) -> Result<Option<u64>, LibraryError> {
    if change.is_empty() && change.undoes.is_none() {
        return Ok(None);
    }
    facts::apply(db, gallery, &change.edits)?;
    write_moves(db, gallery, change, &scene.groups.keys().copied().collect())?;
    bump(db, gallery)?;
    Ok(Some(history::append(db, gallery, change)?))
}

/// Moves faces, and draws the groups anew that a change touches. `there` are the groups that had faces before.
pub(super) fn write_moves(
    db: &Connection,
    gallery: i64,
    change: &Change,
    there: &BTreeSet<GroupId>,
) -> Result<(), LibraryError> {
    for moved in &change.moved {
        match moved.to {
            Some(to) => db
                .prepare_cached(
                    "INSERT INTO members (gallery, face, grp) VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET grp = ?3",
                )?
                .execute(params![gallery, moved.face.0, to.0])?,
            None => db
                .prepare_cached("DELETE FROM members WHERE gallery = ?1 AND face = ?2")?
                .execute(params![gallery, moved.face.0])?,
        };
        db.prepare_cached("DELETE FROM suggestions WHERE gallery = ?1 AND face = ?2")?
            .execute(params![gallery, moved.face.0])?;
    }
    let persons =
        change.edits.iter().flat_map(|edit| edit.before.iter().chain(&edit.after)).flat_map(|fact| fact.persons());
    let homes = change.moved.iter().flat_map(|moved| moved.from.into_iter().chain(moved.to));
    let touched: BTreeSet<GroupId> = persons.chain(homes).collect();
    for id in touched {
        draw(db, gallery, id, change, !there.contains(&id))?;
    }
    Ok(())
}

/// Writes a group as its members and its person's record say, or takes it out where it has no members.
fn draw(db: &Connection, gallery: i64, id: GroupId, change: &Change, is_new: bool) -> Result<(), LibraryError> {
    let mut select = db.prepare_cached(
        "SELECT f.id, f.embedding, f.overall FROM members m JOIN faces f ON f.id = m.face \
         WHERE m.gallery = ?1 AND m.grp = ?2 ORDER BY f.id",
    )?;
    let read = |row: &rusqlite::Row<'_>| Ok((FaceId(rows::id(row, 0)?), rows::floats(row, 1)?, row.get::<_, f32>(2)?));
    let members: Vec<(FaceId, Vec<f32>, f32)> =
        select.query_map(params![gallery, id.0], read)?.collect::<Result<_, _>>()?;
    let views: Vec<Member<'_>> = members.iter().map(|(face, vector, quality)| (*face, &vector[..], *quality)).collect();
    let event = |event: &Lineage| super::groups::append_event(db, gallery, event);
    let Some((best, centroid)) = picture(&views) else {
        let gone =
            db.prepare_cached("DELETE FROM groups WHERE gallery = ?1 AND id = ?2")?.execute(params![gallery, id.0])?;
        db.prepare_cached("DELETE FROM suggestions WHERE gallery = ?1 AND grp = ?2")?
            .execute(params![gallery, id.0])?;
        let into = change.merged.get(&id);
        redirect(db, gallery, id, into.copied())?;
        if gone > 0 {
            event(&into.map_or(Lineage::Died { group: id }, |into| Lineage::Merged { from: id, into: *into }))?;
        }
        return Ok(());
    };
    let known = facts::about(db, gallery, &[id.0].into())?;
    let person = known.persons.get(&id);
    let chosen = person.and_then(|person| person.cover).filter(|cover| members.iter().any(|(face, ..)| face == cover));
    db.prepare_cached(
        "INSERT INTO groups (gallery, id, cover, centroid, name) VALUES (?1, ?2, ?3, ?4, ?5) \
         ON CONFLICT DO UPDATE SET cover = ?3, centroid = ?4, name = ?5",
    )?
    .execute(params![
        gallery,
        id.0,
        chosen.unwrap_or(best).0,
        rows::floats_to_bytes(&centroid),
        person.and_then(|person| person.name.as_deref()),
    ])?;
    // A group that has faces leads nowhere else.
    db.prepare_cached("DELETE FROM redirects WHERE gallery = ?1 AND source = ?2")?.execute(params![gallery, id.0])?;
    if is_new {
        let origins: BTreeMap<Option<GroupId>, usize> =
            change.moved.iter().filter(|moved| moved.to == Some(id)).map(|moved| (moved.from, 1)).collect();
        let mut origins = origins.into_keys();
        event(&match (origins.next(), origins.next()) {
            (Some(Some(from)), None) => Lineage::Split { from, part: id },
            _ => Lineage::Born { group: id },
        })?;
    }
    Ok(())
}

/// Where the id of a group without faces leads, and the ids that led to it.
fn redirect(db: &Connection, gallery: i64, id: GroupId, into: Option<GroupId>) -> Result<(), LibraryError> {
    match into {
        Some(into) => {
            db.execute(
                "UPDATE redirects SET target = ?3 WHERE gallery = ?1 AND target = ?2",
                params![gallery, id.0, into.0],
            )?;
            db.execute(
                "INSERT OR REPLACE INTO redirects (gallery, source, target) VALUES (?1, ?2, ?3)",
                params![gallery, id.0, into.0],
            )?;
        }
        None => {
            db.execute(
                "DELETE FROM redirects WHERE gallery = ?1 AND (source = ?2 OR target = ?2)",
                params![gallery, id.0],
            )?;
        }
    }
    Ok(())
}
