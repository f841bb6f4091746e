//! Takes a change back.

use std::collections::HashSet;

use crate::domain::face::FaceId;
use crate::domain::fact::{Fact, FactKey};
use crate::domain::gallery::GroupId;
use crate::people::draft::Draft;
use crate::people::{Author, Change, Scene};

/// Why a change cannot be taken back.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UndoError {
    /// A later change says something else of the same.
    #[error("a later change builds on it: take that one back first (see the history)")]
    Overtaken(FactKey),
    /// It was taken back already.
    #[error("it was taken back already")]
    Undone,
    /// Nothing that was deleted comes back.
    #[error("what was forgotten was deleted, and cannot be brought back")]
    Forgotten,
}

/// The change that takes another back: facts are as they were before it, and so are faces that are still where it put
/// them. `number` is that of the change in the history; the scene is that of its [topic](Change::topic).
///
/// # Errors
/// A later change says something else of the same faces or persons.
pub fn undo(scene: &Scene, change: &Change, number: u64, author: &Author) -> Result<Change, UndoError> {
    let mut draft = Draft::new(scene, author);
    for edit in change.edits.iter().rev() {
        let Some(key) = edit.key() else { continue };
        // A place says nothing by itself: it stays for others that speak of the face.
        if matches!(key, FactKey::Place(_)) {
            continue;
        }
        if draft.facts.get(key) != edit.after {
            return Err(UndoError::Overtaken(key));
        }
        draft.facts.remove(key);
        edit.before.clone().into_iter().for_each(|fact| draft.facts.set(fact));
    }
    for key in change.edits.iter().filter_map(crate::domain::facts::Edit::key) {
        if let FactKey::Person(person) = key
            && !draft.facts.persons.contains_key(&person)
        {
            leave_nothing(&mut draft, scene, change, person)?;
        }
    }
    for moved in &change.moved {
        let is_there = scene.places.contains_key(&moved.face);
        if is_there && draft.home(moved.face) == moved.to {
            draft.put(moved.face, moved.from);
        }
    }
    // What is no face by what is left is in no group; but what was in one when somebody confirmed it stays there.
    let confirmed: HashSet<FaceId> = change
        .edits
        .iter()
        .filter_map(|edit| match edit.after {
            Some(Fact::Confirmed { face, .. }) => Some(face),
            _ => None,
        })
        .collect();
    for face in scene.places.keys().filter(|face| !confirmed.contains(face)) {
        let said = draft.facts.are_faces.get(face).copied();
        if !said.unwrap_or(!scene.doubted.contains(face)) {
            draft.put(*face, None);
        }
    }
    draft.follow_facts();
    Ok(Change { undoes: Some(number), ..draft.finish("undone") })
}

/// A person's record goes: what came to it by itself, with other files of the same photos, goes with it. What somebody said
/// of it later holds it.
fn leave_nothing(draft: &mut Draft<'_>, scene: &Scene, change: &Change, person: GroupId) -> Result<(), UndoError> {
    let spoken: Vec<_> = change.edits.iter().flat_map(|edit| edit.before.iter().chain(&edit.after)).collect();
    let places: Vec<_> =
        spoken.iter().flat_map(|fact| fact.faces()).filter_map(|face| scene.facts.places.get(&face)).collect();
    let left: Vec<FaceId> =
        draft.facts.confirmed.iter().filter(|(_, of)| **of == person).map(|(face, _)| *face).collect();
    for face in left {
        let place = draft.facts.places.get(&face);
        if !place.is_some_and(|place| places.iter().any(|known| known.is_same(place))) {
            return Err(UndoError::Overtaken(FactKey::Confirmed(face)));
        }
        draft.facts.confirmed.remove(&face);
    }
    if let Some((face, _)) = draft.facts.not_persons.iter().find(|(_, of)| *of == person) {
        return Err(UndoError::Overtaken(FactKey::NotPerson(*face, person)));
    }
    Ok(())
}
