//! Puts faces that a correction left in no group into groups where they belong.
//!
//! A correction moves only what it names. A face that it frees may belong to another group: grouping says which. Only
//! the freed faces follow; whatever else grouping would move waits for the next `muster index`.

use std::collections::BTreeSet;

use muster_actors::domain::face::FaceId;
use muster_actors::domain::gallery::GalleryId;
use muster_actors::grouping::Params;
use muster_actors::people::{Change, Moved};
use muster_gallery::LIBRARY_GALLERY;
use muster_gallery::corrected::Corrected;
use rusqlite::{Connection, TransactionBehavior};

use super::{LibraryError, correct, grouping, groups, history, write};

/// Faces of a library up to which grouping takes no longer than a person waits.
const SMALL: u64 = 5_000;

/// Puts the faces that a correction freed into the groups where they belong, as long as the library is small; the next
/// `muster index` does it in a large one. Returns what moved.
///
/// # Errors
/// The library cannot be read or written. The correction holds in any case.
pub fn adopt(db: &mut Connection, corrected: &Corrected, params: &Params) -> Result<Vec<Moved>, LibraryError> {
    let freed: BTreeSet<FaceId> = freed(corrected);
    if freed.is_empty() {
        return Ok(Vec::new());
    }
    let count: u64 = db.query_row("SELECT count(*) FROM faces", [], |row| super::rows::unsigned(row, 0))?;
    if count > SMALL {
        return Ok(Vec::new());
    }
    let gallery = GalleryId(LIBRARY_GALLERY.to_owned());
    let snapshot = groups::snapshot(db, &gallery)?;
    let (generation, there) =
        (snapshot.version.generation, snapshot.previous.groups.iter().map(|g| g.id).collect::<BTreeSet<_>>());
    let is_home = |face: &FaceId| snapshot.previous.groups.iter().any(|group| group.faces.contains(face));
    let lost: BTreeSet<FaceId> = freed.into_iter().filter(|face| !is_home(face)).collect();
    let after = grouping::group(snapshot, params).map_err(|error| LibraryError::Broken(error.to_string()))?;
    let moved: Vec<Moved> = after
        .partition
        .groups
        .iter()
        .filter(|group| there.contains(&group.id))
        .flat_map(|group| group.faces.iter().map(|face| (*face, group.id)))
        .filter(|(face, _)| lost.contains(face))
        .map(|(face, group)| Moved { face, from: None, to: Some(group) })
        .collect();
    if moved.is_empty() {
        return Ok(moved);
    }
    let whole = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let number = write::gallery_number(&whole, &gallery)?;
    if groups::generation(&whole, &gallery)? != generation {
        // Somebody else changed it: the next grouping sees to it.
        return Ok(Vec::new());
    }
    correct::write_moves(&whole, number, &Change { moved: moved.clone(), ..Change::default() }, &there)?;
    if let Some(change) = corrected.change {
        // Taking the correction back takes this back, too.
        history::adopted(&whole, number, change, &moved)?;
    }
    write::bump(&whole, number)?;
    whole.commit()?;
    Ok(moved)
}

/// The faces that may belong elsewhere now: those that left a group for none, and those that are faces after all.
fn freed(corrected: &Corrected) -> BTreeSet<FaceId> {
    let left = corrected.moved.iter().filter(|moved| moved.to.is_none()).map(|moved| moved.face);
    let is_object = corrected.said == "not-a-face";
    left.filter(|_| !is_object).chain(corrected.faces_after_all.iter().copied()).collect()
}
