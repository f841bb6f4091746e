//! What people said, taken from one library into another.

use std::collections::BTreeMap;

use muster_actors::domain::fact::{Fact, FactKey};
use muster_actors::domain::facts::{Edit, Facts};
use muster_actors::domain::gallery::{GalleryId, GroupId};
use muster_actors::grouping::Params;
use muster_actors::people::{Author, Change};
use muster_gallery::LIBRARY_GALLERY;
use rusqlite::TransactionBehavior;
use serde::Serialize;

use crate::write::{bump, gallery_number};
use crate::{Library, LibraryError, facts, grouping, history};

/// What came of taking facts into a library.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Restored {
    /// Facts that are new here.
    pub facts: u64,
    /// Facts that were here already.
    pub known: u64,
    /// Facts that contradict what was said here, which counts.
    pub contradicted: u64,
    /// Persons that are new here.
    pub people: u64,
    /// The number of the change, by which all of it is taken back; `None` where nothing is new.
    pub change: Option<u64>,
}

/// All facts of a library, for another one: with the places by which faces are known again there.
///
/// # Errors
/// The library cannot be read.
pub fn backup(library: &Library) -> Result<Vec<Fact>, LibraryError> {
    let sql = format!("SELECT n FROM galleries WHERE n = {}", crate::view::MINE);
    let Ok(gallery) = library.db().query_row(&sql, [], |row| row.get::<_, i64>(0)) else { return Ok(Vec::new()) };
    let mut all = facts::all(library.db(), gallery)?;
    let places = std::mem::take(&mut all.places);
    let mut said: Vec<Fact> = all.iter().collect();
    let mentioned: std::collections::BTreeSet<_> =
        said.iter().flat_map(|fact| fact.faces().collect::<Vec<_>>()).collect();
    let places = places.into_iter().filter(|(face, _)| mentioned.contains(face));
    said.extend(places.map(|(face, place)| Fact::Place { face, place }));
    Ok(said)
}

/// Takes facts of another library into this one, and groups it anew: faces are known again by their photos, wherever
/// these lie. A person with the name of one that is here is that one. What was said here counts over what comes.
///
/// # Errors
/// The library cannot be read or written, or cannot be grouped.
pub fn restore(
    library: &mut Library,
    coming: Vec<Fact>,
    author: &Author,
    params: &Params,
) -> Result<Restored, LibraryError> {
    let gallery = GalleryId(LIBRARY_GALLERY.to_owned());
    let mut restored = Restored::default();
    let whole = library.db_mut().transaction_with_behavior(TransactionBehavior::Immediate)?;
    let number = gallery_number(&whole, &gallery)?;
    let here = facts::all(&whole, number)?;
    let mut edits = Vec::new();
    for fact in renamed(coming, &here) {
        match here.get(fact.key()) {
            Some(known) if known == fact => restored.known += 1,
            // A place says where a face is: here it is where it is.
            Some(_) if matches!(fact.key(), FactKey::Place(_)) => restored.known += 1,
            Some(_) => restored.contradicted += 1,
            None => {
                restored.facts += 1;
                restored.people += u64::from(matches!(fact, Fact::Person { .. }));
                edits.push(Edit { before: None, after: Some(fact) });
            }
        }
    }
    if edits.is_empty() {
        return Ok(restored);
    }
    facts::apply(&whole, number, &edits)?;
    let change = Change { said: "imported".to_owned(), author: author.clone(), edits, ..Change::default() };
    restored.change = Some(history::append(&whole, number, &change)?);
    bump(&whole, number)?;
    whole.commit()?;
    grouping::regroup(library, params)?;
    Ok(restored)
}

/// The facts, with the persons that are here under the same name in place of those that come.
fn renamed(coming: Vec<Fact>, here: &Facts) -> Vec<Fact> {
    let names: BTreeMap<&str, GroupId> =
        here.persons.iter().filter_map(|(id, person)| Some((person.name.as_deref()?, *id))).collect();
    let same: BTreeMap<GroupId, GroupId> = coming
        .iter()
        .filter_map(|fact| match fact {
            Fact::Person { id, person } => Some((*id, *names.get(person.name.as_deref()?)?)),
            _ => None,
        })
        .filter(|(id, known)| id != known)
        .collect();
    let known = |id: GroupId| same.get(&id).copied().unwrap_or(id);
    coming
        .into_iter()
        .filter(|fact| !matches!(fact, Fact::Person { id, .. } if same.contains_key(id)))
        .map(|fact| match fact {
            Fact::Confirmed { face, person } => Fact::Confirmed { face, person: known(person) },
            Fact::NotPerson { face, person } => Fact::NotPerson { face, person: known(person) },
            Fact::PersonsApart { a, b } => Fact::persons_apart(known(a), known(b)),
            Fact::Became { from, into } => Fact::Became { from, into: known(into) },
            other => other,
        })
        .collect()
}
