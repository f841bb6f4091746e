//! The history of a library: the changes that people made, in order, which can be listed and undone.

use muster_actors::people::{Author, Change, Moved};
use muster_gallery::history::ChangeEntry;
use rusqlite::{Connection, OptionalExtension, params};

use super::LibraryError;
use super::rows::{self, signed};

/// Kind of the change that a forgotten photo or person leaves in the history.
pub(super) const FORGOTTEN: &str = "forgotten";

/// A stored change.
pub(super) struct KeptChange {
    pub(super) number: u64,
    pub(super) change: Change,
    pub(super) is_undone: bool,
}

/// Appends a change, and returns its number.
pub(super) fn append(db: &Connection, gallery: i64, change: &Change) -> Result<u64, LibraryError> {
    let body = serde_json::to_string(change).map_err(|error| LibraryError::Broken(error.to_string()))?;
    // By itself: SQLite finds a largest number in the key where nothing else is asked with it.
    let last: Option<i64> = db
        .prepare_cached("SELECT max(number) FROM changes WHERE gallery = ?1")?
        .query_row([gallery], |row| row.get(0))?;
    let number = last.unwrap_or(0).unsigned_abs() + 1;
    db.prepare_cached("INSERT INTO changes (gallery, number, said, by, at_ms, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?
        .execute(params![gallery, signed(number), change.said, change.author.by, signed(change.author.at_ms), body])?;
    if let Some(undone) = change.undoes {
        db.execute(
            "UPDATE changes SET undone_by = ?3 WHERE gallery = ?1 AND number = ?2",
            params![gallery, signed(undone), signed(number)],
        )?;
        // Where an undoing is taken back, what it had taken back holds again.
        db.execute(
            "UPDATE changes SET undone_by = NULL WHERE gallery = ?1 AND undone_by = ?2",
            params![gallery, signed(undone)],
        )?;
    }
    Ok(number)
}

/// Adds to a change where faces went that it had left in no group.
pub(super) fn adopted(db: &Connection, gallery: i64, number: u64, moved: &[Moved]) -> Result<(), LibraryError> {
    let Some(KeptChange { mut change, .. }) = find(db, gallery, Some(number))? else { return Ok(()) };
    for one in moved {
        match change.moved.iter_mut().find(|known| known.face == one.face) {
            Some(known) => known.to = one.to,
            None => change.moved.push(*one),
        }
    }
    change.moved.retain(|moved| moved.from != moved.to);
    change.moved.sort_by_key(|moved| moved.face);
    let body = serde_json::to_string(&change).map_err(|error| LibraryError::Broken(error.to_string()))?;
    db.execute(
        "UPDATE changes SET body = ?3 WHERE gallery = ?1 AND number = ?2",
        params![gallery, signed(number), body],
    )?;
    Ok(())
}

/// Notes that something was forgotten, without any detail.
pub(super) fn append_forgotten(db: &Connection, gallery: i64, author: &Author) -> Result<u64, LibraryError> {
    append(db, gallery, &Change { said: FORGOTTEN.to_owned(), author: author.clone(), ..Change::default() })
}

/// Finds the change with a number, or the last that was not undone and undoes nothing.
pub(super) fn find(db: &Connection, gallery: i64, number: Option<u64>) -> Result<Option<KeptChange>, LibraryError> {
    let sql = match number {
        Some(_) => "SELECT number, body, undone_by FROM changes WHERE gallery = ?1 AND number = ?2",
        None => {
            "SELECT number, body, undone_by FROM changes WHERE gallery = ?1 AND ?2 IS NULL AND undone_by IS NULL \
             AND said <> 'undone' ORDER BY number DESC LIMIT 1"
        }
    };
    let mut select = db.prepare_cached(sql)?;
    let found = select.query_row(params![gallery, number.map(signed)], |row| {
        let is_undone = row.get::<_, Option<i64>>(2)?.is_some();
        Ok(KeptChange { number: rows::unsigned(row, 0)?, change: body(row, 1)?, is_undone })
    });
    Ok(found.optional()?)
}

fn body(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<Change> {
    let text: String = row.get(column)?;
    Change::from_json(&text).map_err(|error| rows::damaged(column, error))
}

/// Lists at most `limit` changes before a number, the last first.
pub fn list(db: &Connection, before: Option<u64>, limit: usize) -> Result<Vec<ChangeEntry>, LibraryError> {
    let mut select = db.prepare_cached(&format!(
        "SELECT number, body, undone_by FROM changes WHERE gallery = {} AND (number < ?1 OR ?1 IS NULL) \
         ORDER BY number DESC LIMIT ?2",
        super::view::MINE
    ))?;
    let entries = select.query_map(params![before.map(signed), signed(limit as u64)], |row| {
        let undone_by = row.get::<_, Option<i64>>(2)?.map(i64::unsigned_abs);
        Ok(ChangeEntry::new(rows::unsigned(row, 0)?, &body(row, 1)?, undone_by))
    })?;
    Ok(entries.collect::<Result<_, _>>()?)
}

/// Removes forgotten faces and persons from all changes, so that nothing of them is left and no undo restores a fact about
/// them. Returns how many changes named one.
pub(super) fn scrub(
    db: &Connection,
    gallery: i64,
    ids: &std::collections::BTreeSet<[u8; 16]>,
) -> Result<u64, LibraryError> {
    if ids.is_empty() {
        return Ok(0);
    }
    let mut select = db.prepare("SELECT number, body FROM changes WHERE gallery = ?1")?;
    let all = select.query_map([gallery], |row| Ok((row.get::<_, i64>(0)?, body(row, 1)?)))?;
    let mut scrubbed = 0;
    for row in all.collect::<Result<Vec<_>, _>>()? {
        let (number, change) = row;
        let without = change.without(|id| ids.contains(id));
        if without != change {
            let text = serde_json::to_string(&without).map_err(|error| LibraryError::Broken(error.to_string()))?;
            db.execute(
                "UPDATE changes SET body = ?3 WHERE gallery = ?1 AND number = ?2",
                params![gallery, number, text],
            )?;
            scrubbed += 1;
        }
    }
    Ok(scrubbed)
}
