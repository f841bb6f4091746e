//! The history of a gallery, with one entry for each change.

use muster_actors::people::Change;
use serde::Serialize;

use crate::text::count;

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
            undoes: change.undoes,
            undone_by,
        }
    }
}

fn summary(change: &Change) -> String {
    use muster_actors::domain::fact::Fact;
    let name = |fact: &Option<Fact>| match fact {
        Some(Fact::Person { person, .. }) => person.name.clone(),
        _ => None,
    };
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
