//! What a person says of one group moves no other. Pure.
//!
//! Groups follow from all faces and all that was said, so a face that leaves one may tip the balance between two that nobody spoke
//! of: look-alikes that were two people become one. They were apart when the person looked at them and corrected something else; so
//! that they stay apart is said with it.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::face::FaceId;
use crate::domain::gallery::{Decision, GallerySnapshot, Group, GroupId, Partition, Reconciled, Verdict};

/// What somebody spoke of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spoken {
    /// Groups that may become one.
    pub groups: BTreeSet<GroupId>,
    /// Faces that may go wherever they belong.
    pub faces: BTreeSet<FaceId>,
}

/// What is put into the log, and the groups that follow from it.
#[derive(Clone, Debug, PartialEq)]
pub struct Settled {
    /// Verdicts, with those that keep all other groups apart.
    pub said: Vec<Verdict>,
    /// The groups.
    pub after: Reconciled,
}

/// Groups a gallery with more verdicts, until no groups become one that nobody spoke of.
///
/// # Errors
/// `regroup`'s.
pub fn settle<E>(
    mut now: GallerySnapshot,
    verdicts: &[Verdict],
    spoken: &Spoken,
    regroup: impl Fn(GallerySnapshot) -> Result<Reconciled, E>,
) -> Result<Settled, E> {
    let mut said = verdicts.to_vec();
    let mut held = 0;
    let mut seq = now.decisions.last().map_or(0, |decision| decision.seq);
    loop {
        let fresh = said[held..].iter().cloned();
        now.decisions.extend((seq + 1..).zip(fresh).map(|(seq, verdict)| Decision { seq, batch: u64::MAX, verdict }));
        seq += (said.len() - held) as u64;
        held = said.len();
        let after = regroup(now.clone())?;
        let apart = hold(&now.previous, &after.partition, spoken);
        said.extend(apart.into_iter().filter(|verdict| !now.decisions.iter().any(|known| known.verdict == *verdict)));
        if said.len() == held {
            return Ok(Settled { said, after });
        }
    }
}

/// Keeps apart what was apart before and is together after, unless both are among the groups that somebody spoke of as one.
pub fn hold(before: &Partition, after: &Partition, spoken: &Spoken) -> Vec<Verdict> {
    let mut old: BTreeMap<FaceId, GroupId> =
        before.groups.iter().flat_map(|group| group.faces.iter().map(move |face| (*face, group.id))).collect();
    old.retain(|face, _| !spoken.faces.contains(face));
    let size: BTreeMap<GroupId, usize> = before.groups.iter().map(|group| (group.id, group.faces.len())).collect();
    let mut verdicts = Vec::new();
    for group in &after.groups {
        let parts = parts(group, &old, &size);
        let parts: Vec<_> = parts.iter().collect();
        for (n, (one, face)) in parts.iter().enumerate() {
            for (other, another) in &parts[..n] {
                if !(spoken.groups.contains(one) && spoken.groups.contains(other)) {
                    verdicts.push(Verdict::NotSame { a: **another, b: **face });
                }
            }
        }
    }
    verdicts
}

/// The groups that came here whole or with two faces or more, each with a face of it: one face that changes sides is no merge.
fn parts(group: &Group, old: &BTreeMap<FaceId, GroupId>, size: &BTreeMap<GroupId, usize>) -> BTreeMap<GroupId, FaceId> {
    let mut from: BTreeMap<GroupId, Vec<FaceId>> = BTreeMap::new();
    for face in &group.faces {
        if let Some(id) = old.get(face) {
            from.entry(*id).or_default().push(*face);
        }
    }
    from.retain(|id, faces| faces.len() > 1 || size.get(id) == Some(&1));
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
        for (what, after, groups, faces, expected) in [
            ("nothing moved", vec![(1, &[1, 2, 3][..]), (2, &[4, 5, 6]), (3, &[7, 8])], &[][..], &[][..], vec![]),
            ("a face changed sides", vec![(1, &[1, 2]), (2, &[3, 4, 5, 6]), (3, &[7, 8])], &[], &[], vec![]),
            ("two changed sides", vec![(1, &[1]), (2, &[2, 3, 4, 5, 6]), (3, &[7, 8])], &[], &[], vec![apart(2, 4)]),
            ("of whom one was spoken", vec![(1, &[1]), (2, &[2, 3, 4, 5, 6]), (3, &[7, 8])], &[], &[3], vec![]),
            ("a face left, and two became one", vec![(1, &[1, 2, 4, 5, 6]), (3, &[7, 8])], &[], &[], vec![apart(1, 4)]),
            ("one of them was spoken of", vec![(1, &[1, 2, 3, 4, 5, 6]), (3, &[7, 8])], &[1], &[], vec![apart(1, 4)]),
            ("they were said to be one", vec![(1, &[1, 2, 3, 4, 5, 6]), (3, &[7, 8])], &[1, 2], &[], vec![]),
            (
                "a merge took a third along",
                vec![(1, &[1, 2, 3, 4, 5, 6, 7, 8])],
                &[1, 2],
                &[],
                vec![apart(1, 7), apart(4, 7)],
            ),
        ] {
            let groups = groups.iter().map(|id| GroupId([*id; 16])).collect();
            let faces = faces.iter().map(|id| FaceId([*id; 16])).collect();
            let held = hold(&before, &partition(&after), &Spoken { groups, faces });
            assert_eq!(held, expected, "{what}");
        }
    }
}
