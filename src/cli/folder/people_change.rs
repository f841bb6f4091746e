//! What a person asks for, in verdicts; and what came of it, in words.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use muster_actors::face::FaceId;
use muster_actors::gallery::{Decision, GallerySnapshot, Group, GroupId, Lineage, Partition, Reconciled, Verdict};
use serde_json::{Value, json};

use super::library::{face, group};
use super::people::two_faces;
use crate::cli::CliError;
use crate::cli::text::{count, printable, short};
use crate::local::decisions::{Side, merge, split};
use crate::local::{Library, view};

/// Longest name, in characters.
const NAME: usize = 200;

/// What is asked for, as it was typed.
pub(super) enum Request {
    Name { group: String, name: String },
    Merge { ids: Vec<String> },
    Split { group: String, faces: Vec<String> },
    NotSame { a: String, b: String },
    Nothing,
}

/// What was said, and in which words it is told.
pub(super) struct Change {
    pub(super) verdicts: Vec<Verdict>,
    said: &'static str,
}

/// The verdicts of a request.
pub(super) fn verdicts(library: &Library, now: &GallerySnapshot, request: Request) -> Result<Change, CliError> {
    let usage = |text: &str| Err(CliError::Usage(text.to_owned()));
    let (said, verdicts) = match request {
        Request::Nothing => ("nothing", Vec::new()),
        Request::Name { group: id, name } => {
            let name = name.trim();
            if name.chars().count() > NAME || name.chars().any(char::is_control) {
                return usage("a name has at most 200 characters, all on one line");
            }
            let side = side(library, now, group(library, &id)?)?;
            ("named", vec![Verdict::Name { face: side.cover, name: name.to_owned() }])
        }
        Request::Merge { ids } => {
            let mut sides: Vec<Side> = Vec::new();
            for id in ids {
                let next = match group(library, &id) {
                    Ok(id) => side(library, now, id)?,
                    // A face in no group can be given to one.
                    Err(CliError::Missing(none)) => match face(library, &id) {
                        Ok(face) => alone(now, face)?,
                        Err(CliError::Missing(_)) => return Err(CliError::Missing(none)),
                        Err(other) => return Err(other),
                    },
                    Err(other) => return Err(other),
                };
                if !sides.iter().any(|side| side.cover == next.cover) {
                    sides.push(next);
                }
            }
            if sides.len() < 2 {
                return usage("a merge needs two different groups");
            }
            ("merged", merge(&now.decisions, &sides))
        }
        Request::Split { group: id, faces } => {
            let group = side(library, now, group(library, &id)?)?;
            let chosen = faces.iter().map(|id| face(library, id)).collect::<Result<BTreeSet<_>, _>>()?;
            if let Some(other) = chosen.difference(&group.faces).next() {
                return usage(&format!("face {} is not in that group", short(other)));
            }
            if chosen.len() == group.faces.len() {
                return usage("these are all faces of the group: leave at least one");
            }
            ("split", split(&now.decisions, &group, &chosen))
        }
        Request::NotSame { a, b } => {
            let (a, b) = two_faces(library, &a, &b)?;
            ("not-same", vec![Verdict::NotSame { a, b }])
        }
    };
    Ok(Change { verdicts, said })
}

/// A group as it stands, without faces that are gone.
fn side(library: &Library, now: &GallerySnapshot, id: GroupId) -> Result<Side, CliError> {
    let there = |face: &FaceId| now.faces.binary_search_by_key(face, |f| f.id).is_ok();
    let found = now.previous.groups.iter().find(|g| g.id == id);
    let faces: BTreeSet<FaceId> = found.into_iter().flat_map(|g| &g.faces).copied().filter(there).collect();
    let cover = view::people(library.db())?.into_iter().find(|p| p.id == id).map(|p| p.cover);
    match cover {
        Some(cover) => Ok(Side { cover, faces }),
        None => Err(CliError::Missing(format!("group {} has no faces any more", short(id)))),
    }
}

fn alone(now: &GallerySnapshot, face: FaceId) -> Result<Side, CliError> {
    match now.previous.groups.iter().find(|g| g.faces.contains(&face)) {
        None => Ok(Side { cover: face, faces: BTreeSet::from([face]) }),
        Some(group) => {
            let (face, group) = (short(face), short(group.id));
            Err(CliError::Usage(format!(
                "face {face} is in group {group}: merge the group, or split the face off first"
            )))
        }
    }
}

impl Change {
    /// What an undo took back.
    pub(super) fn undone(decisions: Vec<Decision>) -> Self {
        Self { said: "undone", verdicts: decisions.into_iter().map(|d| d.verdict).collect() }
    }

    /// What came of it, as lines and as JSON.
    pub(super) fn told(&self, before: &Partition, after: &Reconciled) -> (String, Value) {
        let old: BTreeMap<GroupId, &Group> = before.groups.iter().map(|g| (g.id, g)).collect();
        let new: BTreeMap<GroupId, &Group> = after.partition.groups.iter().map(|g| (g.id, g)).collect();
        let mut lines: Vec<String> = Vec::new();
        for event in &after.lineage {
            lines.push(match event {
                Lineage::Born { group } => format!("New group {}.", called(&new, *group)),
                Lineage::Merged { from, into } => format!("{} went into {}.", called(&old, *from), called(&new, *into)),
                Lineage::Split { from, part } => {
                    format!("{} came out of {}.", called(&new, *part), called(&new, *from))
                }
                Lineage::Died { group } => format!("{} has no faces left.", called(&old, *group)),
            });
        }
        let mut renamed = Vec::new();
        for (id, group) in &new {
            let was = old.get(id).and_then(|g| g.name.clone());
            if old.contains_key(id) && was != group.name {
                lines.push(match &group.name {
                    Some(name) => format!("{} is called {}.", short(id), printable(name)),
                    None => format!("{} has no name any more.", short(id)),
                });
                renamed.push(json!({ "group": id, "name": group.name }));
            }
        }
        let home = |groups: &BTreeMap<GroupId, &Group>| -> BTreeMap<FaceId, GroupId> {
            groups.values().flat_map(|g| g.faces.iter().map(|f| (*f, g.id))).collect()
        };
        let (from, to) = (home(&old), home(&new));
        let faces: BTreeSet<&FaceId> = from.keys().chain(to.keys()).collect();
        let moved: Vec<Value> = faces
            .into_iter()
            .filter(|face| from.get(*face) != to.get(*face))
            .map(|face| json!({ "face": face, "from": from.get(face), "to": to.get(face) }))
            .collect();
        if !moved.is_empty() {
            lines.push(format!("{} moved.", count(moved.len() as u64, "face")));
        }
        if lines.is_empty() {
            lines.push("Noted; no group changed by it.".to_owned());
        } else if self.said != "undone" {
            lines.push("`muster people undo` takes this back.".to_owned());
        }
        let text = lines.iter().fold(String::new(), |mut text, line| {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{line}");
            text
        });
        let (said, events) = (self.said, &after.lineage);
        let value =
            json!({ "said": said, "verdicts": self.verdicts, "events": events, "renamed": renamed, "moved": moved });
        (text, value)
    }
}

fn called(groups: &BTreeMap<GroupId, &Group>, id: GroupId) -> String {
    match groups.get(&id) {
        None => short(id),
        Some(group) => {
            let name = group.name.as_deref().map(|name| format!("{}, ", printable(name))).unwrap_or_default();
            format!("{} ({name}{})", short(id), count(group.faces.len() as u64, "face"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group_of(id: u8, faces: &[u8], name: Option<&str>) -> Group {
        Group {
            id: GroupId([id; 16]),
            faces: faces.iter().map(|&n| FaceId([n; 16])).collect(),
            cover: FaceId([faces[0]; 16]),
            centroid: vec![1.0],
            name: name.map(str::to_owned),
        }
    }

    #[test]
    fn what_came_of_it_names_groups_and_counts_faces() {
        let before = Partition {
            groups: vec![group_of(1, &[1, 2], Some("Ada")), group_of(2, &[3], None)],
            ..Partition::default()
        };
        let after = Reconciled {
            partition: Partition { groups: vec![group_of(1, &[1, 2, 3], Some("Ada"))], ..Partition::default() },
            lineage: vec![Lineage::Merged { from: GroupId([2; 16]), into: GroupId([1; 16]) }],
        };
        let change = Change { said: "merged", verdicts: Vec::new() };
        let (text, value) = change.told(&before, &after);
        assert_eq!(
            text,
            "02020202 (1 face) went into 01010101 (Ada, 3 faces).\n1 face moved.\n`muster people undo` takes this back.\n"
        );
        assert_eq!(value["moved"][0]["to"], json!("01".repeat(16)));
    }
}
