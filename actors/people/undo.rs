//! Takes a change back.

use crate::domain::fact::FactKey;
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
    for moved in &change.moved {
        let is_there = scene.places.contains_key(&moved.face);
        if is_there && draft.home(moved.face) == moved.to {
            draft.put(moved.face, moved.from);
        }
    }
    // What is no face by what is left is in no group.
    for face in scene.places.keys() {
        let said = draft.facts.are_faces.get(face).copied();
        if !said.unwrap_or(!scene.doubted.contains(face)) {
            draft.put(*face, None);
        }
    }
    draft.follow_facts();
    Ok(Change { undoes: Some(number), ..draft.finish("undone") })
}
