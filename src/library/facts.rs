//! Stores facts that people stated, one row each.

use std::collections::BTreeSet;

use muster_actors::domain::fact::{Fact, FactColumns};
use muster_actors::domain::facts::{Edit, Facts};
use muster_actors::domain::gallery::GroupId;
use muster_actors::domain::person::Person;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{LibraryError, rows};

const COLUMNS: &str = "kind, a, b, value";

fn fact(row: &Row<'_>) -> rusqlite::Result<Fact> {
    let (kind, value): (String, String) = (row.get(0)?, row.get(3)?);
    // A kind with one id has an empty second one.
    let second = row.get_ref(2)?.as_blob().map_err(|error| rows::damaged(2, error))?;
    let b = if second.is_empty() { None } else { Some(rows::id(row, 2)?) };
    Fact::from_columns(&kind, rows::id(row, 1)?, b, &value).map_err(|error| rows::damaged(0, error))
}

/// All facts of a gallery.
pub(super) fn all(db: &Connection, gallery: i64) -> Result<Facts, LibraryError> {
    let mut select = db.prepare_cached(&format!("SELECT {COLUMNS} FROM facts WHERE gallery = ?1"))?;
    Ok(select.query_map([gallery], fact)?.collect::<Result<_, _>>()?)
}

/// All facts of a library.
///
/// # Errors
/// The library cannot be read.
pub fn of_library(db: &Connection) -> Result<Facts, LibraryError> {
    let sql = format!("SELECT n FROM galleries WHERE n = {}", super::view::MINE);
    let gallery: Option<i64> = db.query_row(&sql, [], |row| row.get(0)).optional()?;
    gallery.map_or_else(|| Ok(Facts::default()), |gallery| all(db, gallery))
}

/// The facts that name one of some faces or persons.
pub(super) fn about(db: &Connection, gallery: i64, ids: &BTreeSet<[u8; 16]>) -> Result<Facts, LibraryError> {
    let mut facts = Facts::default();
    // SQLite would look through the gallery by the key: it does not know that few facts name one id. The last condition
    // is that of the index.
    let mut first =
        db.prepare_cached(&format!("SELECT {COLUMNS} FROM facts INDEXED BY facts_of_a WHERE gallery = ?1 AND a = ?2"))?;
    let mut second = db.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM facts INDEXED BY facts_of_b WHERE gallery = ?1 AND b = ?2 AND length(b) = 16"
    ))?;
    for id in ids {
        for select in [&mut first, &mut second] {
            for found in select.query_map(params![gallery, id], fact)? {
                facts.set(found?);
            }
        }
    }
    Ok(facts)
}

/// The persons of a gallery.
pub(super) fn persons(db: &Connection) -> Result<Vec<(GroupId, Person)>, LibraryError> {
    let sql = format!("SELECT {COLUMNS} FROM facts WHERE gallery = {} AND kind = 'person'", super::view::MINE);
    let mut select = db.prepare_cached(&sql)?;
    let mut persons = Vec::new();
    for found in select.query_map([], fact)? {
        if let Fact::Person { id, person } = found? {
            persons.push((id, person));
        }
    }
    Ok(persons)
}

/// Makes edits.
pub(super) fn apply(db: &Connection, gallery: i64, edits: &[Edit]) -> Result<(), LibraryError> {
    for edit in edits {
        if let Some(FactColumns { kind, a, b, .. }) = edit.before.as_ref().map(Fact::columns) {
            db.prepare_cached("DELETE FROM facts WHERE gallery = ?1 AND kind = ?2 AND a = ?3 AND b = ?4")?
                .execute(params![gallery, kind, a, b.as_ref().map_or(&[][..], |b| &b[..])])?;
        }
        if let Some(fact) = &edit.after {
            set(db, gallery, fact)?;
        }
    }
    Ok(())
}

/// Makes a fact hold.
pub(super) fn set(db: &Connection, gallery: i64, fact: &Fact) -> Result<(), LibraryError> {
    let FactColumns { kind, a, b, value } = fact.columns();
    db.prepare_cached("INSERT OR REPLACE INTO facts (gallery, kind, a, b, value) VALUES (?1, ?2, ?3, ?4, ?5)")?
        .execute(params![gallery, kind, a, b.as_ref().map_or(&[][..], |b| &b[..]), value])?;
    Ok(())
}
