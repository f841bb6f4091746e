//! Lists the questions of a library for a person who knows the people.

use std::collections::BTreeMap;

use muster_actors::domain::face::FaceId;
use muster_actors::domain::gallery::{GalleryId, GroupId};
use muster_gallery::LIBRARY_GALLERY;
use muster_gallery::suggested::{GroupSize, Suggested, questions};
use rusqlite::{Connection, OptionalExtension, params};

use super::{LibraryError, facts, groups, rows};

/// The open questions, those first whose answers are likely to put most faces right.
///
/// # Errors
/// The library cannot be read.
pub fn list(db: &mut Connection) -> Result<Vec<Suggested>, LibraryError> {
    let gallery = GalleryId(LIBRARY_GALLERY.to_owned());
    let suggestions = groups::suggestions(db, &gallery)?;
    if suggestions.is_empty() {
        return Ok(Vec::new());
    }
    let moment = db.transaction()?;
    let number: i64 = moment.query_row(&format!("SELECT {}", super::view::MINE), [], |row| row.get(0))?;
    let mut homes: BTreeMap<FaceId, GroupId> = BTreeMap::new();
    let mut sizes: BTreeMap<GroupId, GroupSize> = BTreeMap::new();
    let mut home = moment.prepare_cached("SELECT grp FROM members WHERE gallery = ?1 AND face = ?2")?;
    let mut size = moment.prepare_cached(
        "SELECT g.cover, (SELECT count(*) FROM members m WHERE m.gallery = g.gallery AND m.grp = g.id) FROM groups g \
         WHERE g.gallery = ?1 AND g.id = ?2",
    )?;
    let mut ids = std::collections::BTreeSet::new();
    for (face, suggestion) in &suggestions {
        let of = home.query_row(params![number, face.0], |row| Ok(GroupId(rows::id(row, 0)?))).optional()?;
        homes.extend(of.map(|of| (*face, of)));
        for group in of.into_iter().chain([suggestion.group]) {
            if !sizes.contains_key(&group) {
                let read = |row: &rusqlite::Row<'_>| Ok((FaceId(rows::id(row, 0)?), rows::unsigned(row, 1)?));
                let found = size.query_row(params![number, group.0], read).optional()?;
                sizes.extend(found.map(|found| (group, found)));
            }
        }
        ids.insert(face.0);
    }
    ids.extend(sizes.keys().map(|group| group.0));
    let facts = facts::about(&moment, number, &ids)?;
    Ok(questions(&suggestions, &homes, &sizes, &facts))
}
