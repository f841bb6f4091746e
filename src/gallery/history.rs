//! The history of a gallery, with one entry for each change.

use std::collections::{BTreeMap, BTreeSet};

use muster_actors::domain::fact::Fact;
use muster_actors::domain::gallery::GroupId;
use muster_actors::people::Change;
use serde::Serialize;

use crate::text::count;

/// A group or person that a change is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NamedPerson {
    /// Its id.
    pub id: GroupId,
    /// The name before the change, where the change is about the record of the person.
    pub before: Option<String>,
    /// The name after it, where the change is about the record of the person.
    pub after: Option<String>,
}

/// How many faces a change moved from one group to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MovedFaces {
    /// Where they were, if they were in a group.
    pub from: Option<GroupId>,
    /// Where they went, if they went into one.
    pub to: Option<GroupId>,
    /// How many.
    pub faces: u64,
}

/// One change in the history of a gallery.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ChangeEntry {
    /// Number of the change, ascending from 1, by which it is undone.
    pub change: u64,
    /// Kind of the change: `named`, `merged`, …; or `forgotten`, which cannot be undone.
    pub said: String,
    /// Author: a user of the system, or a key of the API.
    pub by: String,
    /// Time in milliseconds since 1970 (UTC).
    pub at_ms: u64,
    /// Summary in a few words.
    pub summary: String,
    /// Groups and persons that it is about, ascending by id; empty where a store keeps a summary only.
    pub people: Vec<NamedPerson>,
    /// Faces that it moved; empty where a store keeps a summary only.
    pub moved: Vec<MovedFaces>,
    /// Number of the change that this one undoes.
    pub undoes: Option<u64>,
    /// Number of the change that undid this one.
    pub undone_by: Option<u64>,
}

impl ChangeEntry {
    /// Builds the entry of a stored change.
    pub fn new(number: u64, change: &Change, undone_by: Option<u64>) -> Self {
        Self {
            change: number,
            said: change.said.clone(),
            by: change.author.by.clone(),
            at_ms: change.author.at_ms,
            summary: summary(change),
            people: people(change),
            moved: moved(change),
            undoes: change.undoes,
            undone_by,
        }
    }
}

fn name(fact: &Option<Fact>) -> Option<String> {
    match fact {
        Some(Fact::Person { person, .. }) => person.name.clone(),
        _ => None,
    }
}

fn people(change: &Change) -> Vec<NamedPerson> {
    let facts = change.edits.iter().flat_map(|edit| edit.before.iter().chain(&edit.after));
    let groups = change.moved.iter().flat_map(|moved| [moved.from, moved.to]).flatten();
    let merged = change.merged.iter().flat_map(|(from, into)| [*from, *into]);
    let ids: BTreeSet<GroupId> = facts.flat_map(Fact::persons).chain(groups).chain(merged).collect();
    let person = |id: GroupId| {
        let is_its = |fact: &&Option<Fact>| matches!(fact, Some(Fact::Person { id: of, .. }) if *of == id);
        let before = change.edits.iter().map(|edit| &edit.before).find(is_its).and_then(name);
        let after = change.edits.iter().map(|edit| &edit.after).find(is_its).and_then(name);
        NamedPerson { id, before, after }
    };
    ids.into_iter().map(person).collect()
}

fn moved(change: &Change) -> Vec<MovedFaces> {
    let mut ways: BTreeMap<(Option<GroupId>, Option<GroupId>), u64> = BTreeMap::new();
    change.moved.iter().for_each(|moved| *ways.entry((moved.from, moved.to)).or_default() += 1);
    ways.into_iter().map(|((from, to), faces)| MovedFaces { from, to, faces }).collect()
}

fn summary(change: &Change) -> String {
    let names = change.edits.iter().filter_map(|edit| match (name(&edit.before), name(&edit.after)) {
        (before, after) if before == after => None,
        (Some(before), Some(after)) => Some(format!("{before} → {after}")),
        (Some(before), None) => Some(format!("{before} → no name")),
        (None, Some(after)) => Some(after),
        (None, None) => None,
    });
    let mut parts: Vec<String> = names.collect();
    if !change.moved.is_empty() {
        parts.push(format!("{} moved", count(change.moved.len() as u64, "face")));
    }
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_actors::domain::face::FaceId;
    use muster_actors::domain::facts::Edit;
    use muster_actors::domain::person::Person;
    use muster_actors::people::Moved;

    #[test]
    fn an_entry_says_whom_the_change_is_about_and_how_many_faces_moved() {
        let (ada, ben) = (GroupId([1; 16]), GroupId([2; 16]));
        let record = |name: &str| Person { name: Some(name.into()), ..Person::default() };
        let ended = Edit { before: Some(Fact::Person { id: ben, person: record("Ben") }), after: None };
        let moved = |n: u8| Moved { face: FaceId([n; 16]), from: Some(ben), to: Some(ada) };
        let change = Change { edits: vec![ended], moved: vec![moved(7), moved(8)], ..Change::default() };
        let entry = ChangeEntry::new(3, &change, None);
        let named = |id, before: Option<&str>| NamedPerson { id, before: before.map(str::to_owned), after: None };
        assert_eq!(entry.people, [named(ada, None), named(ben, Some("Ben"))]);
        assert_eq!(entry.moved, [MovedFaces { from: Some(ben), to: Some(ada), faces: 2 }]);
    }
}
