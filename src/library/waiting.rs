//! Persons of whom no face is in the library now: their photos were deleted, and may come back.

use muster_actors::domain::gallery::GroupId;
use muster_actors::domain::person::Person;
use rusqlite::Connection;

use super::{LibraryError, facts, view};

/// Lists the persons who have a name, a note or a date of birth, and no face now, by name.
///
/// # Errors
/// The library cannot be read.
pub fn list(db: &Connection) -> Result<Vec<(GroupId, Person)>, LibraryError> {
    let sql = format!(
        "SELECT EXISTS (SELECT 1 FROM members m JOIN faces f ON f.id = m.face WHERE m.gallery = {} AND m.grp = ?1)",
        view::MINE
    );
    let mut has_face = db.prepare_cached(&sql)?;
    let mut waiting = Vec::new();
    for (id, person) in facts::persons(db)? {
        let is_known = person.name.is_some() || person.notes.is_some() || person.born.is_some();
        if is_known && !has_face.query_row([id.0], |row| row.get::<_, bool>(0))? {
            waiting.push((id, person));
        }
    }
    waiting.sort_by(|(a, one), (b, other)| one.name.cmp(&other.name).then(a.cmp(b)));
    Ok(waiting)
}
