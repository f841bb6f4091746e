//! What came of what a person said: for programs, and in words.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use muster_actors::domain::face::FaceId;
use muster_actors::domain::gallery::{Group, GroupId, Lineage, Partition, Reconciled, Verdict};
use serde::Serialize;

use crate::text::{count, printable, short};

/// A group has another name, or none any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Renamed {
    /// The group.
    pub group: GroupId,
    /// Its name now.
    pub name: Option<String>,
}

/// A face is in another group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Moved {
    /// The face.
    pub face: FaceId,
    /// Where it was, if it was in a group.
    pub from: Option<GroupId>,
    /// Where it is, if it is in one.
    pub to: Option<GroupId>,
}

/// What was said, and what came of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Told {
    /// `named`, `merged`, `split`, `moved`, `not-same`, `is-face`, `not-a-face` or `undone`.
    pub said: &'static str,
    /// In verdicts.
    pub verdicts: Vec<Verdict>,
    /// Groups that came and went.
    pub events: Vec<Lineage>,
    /// Groups that are called otherwise.
    pub renamed: Vec<Renamed>,
    /// Faces that are elsewhere.
    pub moved: Vec<Moved>,
    #[serde(skip)]
    lines: Vec<String>,
}

/// One line each; says so where nothing changed.
impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.changed() {
            return writeln!(f, "Noted; no group changed by it.");
        }
        self.lines.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

impl Told {
    /// From the groups before and after.
    pub fn new(said: &'static str, verdicts: Vec<Verdict>, before: &Partition, after: Reconciled) -> Self {
        let old: BTreeMap<GroupId, &Group> = before.groups.iter().map(|g| (g.id, g)).collect();
        let new: BTreeMap<GroupId, &Group> = after.partition.groups.iter().map(|g| (g.id, g)).collect();
        let mut lines: Vec<String> = of_faces(said, &verdicts);
        lines.extend(after.lineage.iter().map(|event| line(event, &old, &new)));
        let mut renamed = Vec::new();
        for (id, group) in &new {
            let was = old.get(id).and_then(|g| g.name.clone());
            if old.contains_key(id) && was != group.name {
                lines.push(match &group.name {
                    Some(name) => format!("{} is called {}.", short(id), printable(name)),
                    None => format!("{} has no name any more.", short(id)),
                });
                renamed.push(Renamed { group: *id, name: group.name.clone() });
            }
        }
        let (from, to) = (homes(&old), homes(&new));
        let faces: BTreeSet<&FaceId> = from.keys().chain(to.keys()).collect();
        let moved: Vec<Moved> = faces
            .into_iter()
            .map(|face| Moved { face: *face, from: from.get(face).copied(), to: to.get(face).copied() })
            .filter(|moved| moved.from != moved.to)
            .collect();
        if !moved.is_empty() {
            lines.push(format!("{} moved.", count(moved.len() as u64, "face")));
        }
        Self { said, verdicts, events: after.lineage, renamed, moved, lines }
    }

    /// Whether any group is other than before.
    pub fn changed(&self) -> bool {
        !self.lines.is_empty()
    }
}

/// How many detections are faces now, or none; what was taken back the other way round.
fn of_faces(said: &str, verdicts: &[Verdict]) -> Vec<String> {
    let spoken = |wanted: bool| {
        let words =
            verdicts.iter().filter(|verdict| matches!(verdict, Verdict::Face { is_face, .. } if *is_face == wanted));
        words.count() as u64
    };
    let told = match said {
        "undone" => [(spoken(true) + spoken(false), "judged by the models, or by what was said before")],
        "not-a-face" => [(spoken(false), "taken out as no face")],
        _ => [(spoken(true), "brought back as a face")],
    };
    let line = |(n, what): &(u64, &str)| format!("{} {what}.", count(*n, "detection"));
    told.iter().filter(|(n, _)| *n > 0).map(line).collect()
}

fn homes(groups: &BTreeMap<GroupId, &Group>) -> BTreeMap<FaceId, GroupId> {
    groups.values().flat_map(|g| g.faces.iter().map(|f| (*f, g.id))).collect()
}

fn line(event: &Lineage, old: &BTreeMap<GroupId, &Group>, new: &BTreeMap<GroupId, &Group>) -> String {
    match event {
        Lineage::Born { group } => format!("New group {}.", called(new, *group)),
        Lineage::Merged { from, into } => format!("{} went into {}.", called(old, *from), called(new, *into)),
        Lineage::Split { from, part } => format!("{} came out of {}.", called(new, *part), called(new, *from)),
        Lineage::Died { group } => format!("{} has no faces left.", called(old, *group)),
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
    use serde_json::json;

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
        let told = Told::new("merged", Vec::new(), &before, after);
        assert_eq!(told.to_string(), "02020202 (1 face) went into 01010101 (Ada, 3 faces).\n1 face moved.\n");
        assert_eq!(serde_json::to_value(&told).unwrap()["moved"][0]["to"], json!("01".repeat(16)));
    }

    #[test]
    fn what_becomes_of_detections_is_told_even_where_no_group_changes() {
        let said = |said, is_face: &[bool]| {
            let verdict = |is_face: &bool| Verdict::Face { face: FaceId([1; 16]), is_face: *is_face };
            let verdicts = is_face.iter().map(verdict).collect();
            Told::new(said, verdicts, &Partition::default(), Reconciled::default()).to_string()
        };
        assert_eq!(said("is-face", &[true, true]), "2 detections brought back as a face.\n");
        assert_eq!(said("not-a-face", &[false]), "1 detection taken out as no face.\n");
        assert_eq!(said("undone", &[true]), "1 detection judged by the models, or by what was said before.\n");
        assert_eq!(said("merged", &[true]), "1 detection brought back as a face.\n");
    }

    #[test]
    fn what_changes_nothing_is_noted() {
        let told = Told::new("not-same", Vec::new(), &Partition::default(), Reconciled::default());
        assert_eq!(told.to_string(), "Noted; no group changed by it.\n");
    }
}
