//! Copies what people stated from one library into another.

use std::collections::BTreeMap;

use muster_actors::domain::face::BBox;
use muster_actors::domain::fact::{Fact, FactColumns, FactKey};
use muster_actors::domain::facts::{Edit, Facts};
use muster_actors::domain::gallery::{GalleryId, GroupId};
use muster_actors::grouping::Params;
use muster_actors::people::correction::{LONGEST_NAME, LONGEST_NOTE, is_name};
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
    let mut all = facts::of_library(library.db())?;
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
    let coming: Vec<Fact> = coming.into_iter().map(Fact::normalised).collect();
    coming.iter().try_for_each(check)?;
    let mut edits = Vec::new();
    for fact in renamed(coming, &here) {
        match here.get(fact.key()) {
            None if is_contradicted(&fact, &here) => restored.contradicted += 1,
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

/// Whether a fact can be kept and read back: a file may hold anything.
fn check(fact: &Fact) -> Result<(), LibraryError> {
    let FactColumns { kind, a, b, value } = fact.columns();
    let is_whole = Fact::from_columns(kind, a, b, &value).as_ref() == Ok(fact);
    let is_sound = match fact {
        Fact::Person { person, .. } => {
            person.name.as_deref().is_none_or(is_name)
                && person.notes.as_ref().is_none_or(|notes| notes.chars().count() <= LONGEST_NOTE)
                && person.made_by.chars().count() <= LONGEST_NAME
        }
        Fact::Place { place, .. } => {
            let BBox { x, y, width, height } = place.bbox;
            [x, y, width, height].iter().all(|side| side.is_finite())
        }
        _ => true,
    };
    if is_whole && is_sound {
        return Ok(());
    }
    Err(LibraryError::Invalid(format!(
        "the file holds a fact that cannot be, of the kind {kind}: nothing was taken over"
    )))
}

/// Whether what was said here says otherwise, under another key.
fn is_contradicted(fact: &Fact, here: &Facts) -> bool {
    match fact {
        Fact::Confirmed { face, person } => {
            here.not_persons.contains(&(*face, *person))
                || here.are_faces.get(face) == Some(&false)
                || here.not_same.iter().any(|(a, b)| {
                    let other = if a == face { b } else { a };
                    (a == face || b == face) && here.person_of(*other) == Some(*person)
                })
        }
        Fact::NotPerson { face, person } => here.person_of(*face) == Some(*person),
        Fact::NotSame { a, b } => here.person_of(*a).is_some() && here.person_of(*a) == here.person_of(*b),
        Fact::Became { from, .. } => here.persons.contains_key(from),
        Fact::Person { id, .. } => here.became.contains_key(id),
        _ => false,
    }
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
        // A person that is here stays itself, also where another has its name.
        .filter(|(id, _)| !here.persons.contains_key(id))
        .collect();
    let known = |id: GroupId| {
        let id = same.get(&id).copied().unwrap_or(id);
        here.became.get(&id).copied().unwrap_or(id)
    };
    coming
        .into_iter()
        .filter(|fact| !matches!(fact, Fact::Person { id, .. } if same.contains_key(id)))
        .map(|fact| match fact {
            Fact::Confirmed { face, person } => Fact::Confirmed { face, person: known(person) },
            Fact::NotPerson { face, person } => Fact::NotPerson { face, person: known(person) },
            Fact::Skipped { face, person } => Fact::Skipped { face, person: known(person) },
            Fact::PersonsApart { a, b } => Fact::persons_apart(known(a), known(b)),
            Fact::Became { from, into } => Fact::Became { from, into: known(into) },
            other => other,
        })
        .collect()
}
