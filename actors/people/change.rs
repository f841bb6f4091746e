//! What a correction changes.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use crate::domain::face::FaceId;
use crate::domain::fact::Fact;
use crate::domain::facts::Edit;
use crate::domain::gallery::GroupId;

/// Who makes a change, and when.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Author {
    /// A user of the system, or a key of the API.
    pub by: String,
    /// Milliseconds since 1970 (UTC).
    pub at_ms: u64,
}

/// A face that is in another group than before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moved {
    /// The face.
    pub face: FaceId,
    /// Where it was, if it was in a group.
    pub from: Option<GroupId>,
    /// Where it is, if it is in one.
    pub to: Option<GroupId>,
}

/// What one correction changes: kept in the history of a gallery, so that it can be taken back.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// What was said: `named`, `merged`, …
    pub said: String,
    /// Who said it, and when.
    #[serde(flatten)]
    pub author: Author,
    /// Facts that come and go.
    pub edits: Vec<Edit>,
    /// Faces that are in another group, ascending by face.
    pub moved: Vec<Moved>,
    /// Groups that went into another as a whole.
    #[serde(default)]
    pub merged: BTreeMap<GroupId, GroupId>,
    /// The number of the change that this one takes back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undoes: Option<u64>,
}

impl Change {
    /// Whether anything is other than before.
    pub fn is_empty(&self) -> bool {
        self.edits.is_empty() && self.moved.is_empty()
    }

    /// Reads a change from JSON. Pairs are brought into their order: ids may have changed in the text.
    ///
    /// # Errors
    /// The text is no change.
    pub fn from_json(text: &str) -> Result<Self, serde_json::Error> {
        let mut change: Self = serde_json::from_str(text)?;
        for edit in &mut change.edits {
            edit.before = edit.before.take().map(Fact::normalised);
            edit.after = edit.after.take().map(Fact::normalised);
        }
        Ok(change)
    }

    /// It without what names a face or person that `is_forgotten`.
    pub fn without(&self, is_forgotten: impl Fn(&[u8; 16]) -> bool) -> Self {
        let names = |fact: &Fact| {
            fact.faces().any(|face| is_forgotten(&face.0)) || fact.persons().any(|person| is_forgotten(&person.0))
        };
        let keeps = |edit: &Edit| !edit.before.iter().chain(&edit.after).any(names);
        // A person stays, and is not shown by a face that is forgotten.
        let uncovered = |fact: Option<Fact>| match fact {
            Some(Fact::Person { id, mut person }) => {
                person.cover = person.cover.filter(|cover| !is_forgotten(&cover.0));
                Some(Fact::Person { id, person })
            }
            other => other,
        };
        let group = |id: Option<GroupId>| id.filter(|id| !is_forgotten(&id.0));
        Self {
            edits: self
                .edits
                .iter()
                .filter(|edit| keeps(edit))
                .cloned()
                .map(|edit| Edit { before: uncovered(edit.before), after: uncovered(edit.after) })
                .filter(|edit| edit.before != edit.after)
                .collect(),
            moved: self
                .moved
                .iter()
                .filter(|moved| !is_forgotten(&moved.face.0))
                .map(|moved| Moved { face: moved.face, from: group(moved.from), to: group(moved.to) })
                .collect(),
            merged: self
                .merged
                .iter()
                .filter(|(from, into)| !is_forgotten(&from.0) && !is_forgotten(&into.0))
                .map(|(from, into)| (*from, *into))
                .collect(),
            ..self.clone()
        }
    }

    /// The groups and faces that it is about.
    pub fn topic(&self) -> super::Topic {
        let mut topic = super::Topic::default();
        for fact in self.edits.iter().flat_map(|edit| edit.before.iter().chain(&edit.after)) {
            topic.faces.extend(fact.faces());
            topic.groups.extend(fact.persons());
        }
        for moved in &self.moved {
            topic.faces.insert(moved.face);
            topic.groups.extend(moved.from.into_iter().chain(moved.to));
        }
        topic
    }
}

/// A text of JSON with other ids, each between quotation marks; `None` where none of them is in it. By this a kept change
/// follows faces that got other ids.
pub fn with_ids(text: &str, ids: &HashMap<String, String>) -> Option<String> {
    let mut changed = false;
    let parts: Vec<&str> = text
        .split('"')
        .map(|part| match ids.get(part) {
            Some(id) => {
                changed = true;
                id.as_str()
            }
            None => part,
        })
        .collect();
    changed.then(|| parts.join("\""))
}
