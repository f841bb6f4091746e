//! What a person says of one group moves no other. Pure.
//!
//! Groups follow from all faces and all that was said, so a face that leaves one may tip the balance between two that nobody spoke
//! of: look-alikes that were two people become one. They were apart when the person looked at them and corrected something else; so
//! that they stay apart is said with it.

use std::collections::{BTreeMap, BTreeSet};

use crate::face::FaceId;
use crate::gallery::{Group, GroupId, Partition, Verdict};

/// Keeps apart what was apart before and is together after, unless both are among the groups that somebody spoke of as one.
pub fn hold(before: &Partition, after: &Partition, joined: &BTreeSet<GroupId>) -> Vec<Verdict> {
    let old: BTreeMap<FaceId, GroupId> =
        before.groups.iter().flat_map(|group| group.faces.iter().map(move |face| (*face, group.id))).collect();
    let size: BTreeMap<GroupId, usize> = before.groups.iter().map(|group| (group.id, group.faces.len())).collect();
    let mut verdicts = Vec::new();
    for group in &after.groups {
        let parts = parts(group, &old, &size);
        let parts: Vec<_> = parts.iter().collect();
        for (n, (one, face)) in parts.iter().enumerate() {
            for (other, another) in &parts[..n] {
                if !(joined.contains(one) && joined.contains(other)) {
                    verdicts.push(Verdict::NotSame { a: **another, b: **face });
                }
            }
        }
    }
    verdicts
}

/// The groups that most of whose faces here came from, each with a face of it: one face that changes sides is no merge.
fn parts(group: &Group, old: &BTreeMap<FaceId, GroupId>, size: &BTreeMap<GroupId, usize>) -> BTreeMap<GroupId, FaceId> {
    let mut from: BTreeMap<GroupId, Vec<FaceId>> = BTreeMap::new();
    for face in &group.faces {
        if let Some(id) = old.get(face) {
            from.entry(*id).or_default().push(*face);
        }
    }
    from.retain(|id, faces| 2 * faces.len() > size.get(id).copied().unwrap_or_default());
    from.into_iter().map(|(id, faces)| (id, faces[0])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition(groups: &[(u8, &[u8])]) -> Partition {
        let group = |&(id, faces): &(u8, &[u8])| Group {
            id: GroupId([id; 16]),
            faces: faces.iter().map(|n| FaceId([*n; 16])).collect(),
            cover: FaceId([faces[0]; 16]),
            centroid: vec![1.0],
            name: None,
        };
        Partition { groups: groups.iter().map(group).collect(), ..Partition::default() }
    }

    #[test]
    fn groups_that_nobody_spoke_of_stay_apart() {
        let before = partition(&[(1, &[1, 2, 3]), (2, &[4, 5, 6]), (3, &[7, 8])]);
        let apart = |a: u8, b: u8| Verdict::NotSame { a: FaceId([a; 16]), b: FaceId([b; 16]) };
        for (what, after, joined, expected) in [
            ("nothing moved", vec![(1, &[1, 2, 3][..]), (2, &[4, 5, 6]), (3, &[7, 8])], &[][..], vec![]),
            ("a face changed sides", vec![(1, &[1, 2]), (2, &[3, 4, 5, 6]), (3, &[7, 8])], &[], vec![]),
            ("a face left, and two became one", vec![(1, &[1, 2, 4, 5, 6]), (3, &[7, 8])], &[], vec![apart(1, 4)]),
            ("one of them was spoken of", vec![(1, &[1, 2, 3, 4, 5, 6]), (3, &[7, 8])], &[1], vec![apart(1, 4)]),
            ("they were said to be one", vec![(1, &[1, 2, 3, 4, 5, 6]), (3, &[7, 8])], &[1, 2], vec![]),
            (
                "a merge took a third along",
                vec![(1, &[1, 2, 3, 4, 5, 6, 7, 8])],
                &[1, 2],
                vec![apart(1, 7), apart(4, 7)],
            ),
        ] {
            let joined = joined.iter().map(|id| GroupId([*id; 16])).collect();
            let held = hold(&before, &partition(&after), &joined);
            assert_eq!(held, expected, "{what}");
        }
    }
}
