//! What a person says of one group moves no other: over seeded galleries of people who resemble each other.

use std::collections::{BTreeMap, BTreeSet};

use super::{Rng, face, near, run};
use crate::domain::face::FaceId;
use crate::domain::gallery::{Decision, FaceVector, GallerySnapshot, Group, GroupId, Partition, Verdict};
use crate::grouping::hold::settle;
use crate::grouping::say::Say;
use crate::grouping::scan::ScanFactory;
use crate::grouping::{Params, reconcile};
use crate::ports::index::IndexError;

/// Siblings: two people whose faces are near each other's, four each, in photos of their own.
fn siblings(seed: u64) -> Vec<FaceVector> {
    let mut rng = Rng(seed);
    let mut faces = Vec::new();
    for _ in 0..8 {
        let family = rng.direction(64);
        for _ in 0..2 {
            let person = near(&mut rng, &family, 0.75);
            for _ in 0..4 {
                let alike = 0.55 + 0.3 * rng.unit();
                faces.push(face(faces.len(), faces.len(), near(&mut rng, &person, alike), 0.4 + 0.6 * rng.unit()));
            }
        }
    }
    faces
}

/// The group of each face.
fn homes(groups: &[Group]) -> BTreeMap<FaceId, GroupId> {
    groups.iter().flat_map(|group| group.faces.iter().map(move |face| (*face, group.id))).collect()
}

#[test]
fn two_faces_that_nobody_spoke_of_never_change_sides_together() {
    let (mut tried, mut merges) = (0, 0);
    for seed in 0..40 {
        let faces = siblings(seed);
        let first = run(&faces, &[], &Partition::default()).partition;
        for person in first.groups.iter().filter(|group| group.faces.len() > 2) {
            let chosen = person.faces[seed as usize % person.faces.len()];
            let say = Say::Split { group: person.id, faces: [chosen].into() };
            let mut sorted = faces.clone();
            sorted.sort_by_key(|face| face.id);
            let now =
                GallerySnapshot { generation: 1, faces: sorted, previous: first.clone(), ..GallerySnapshot::default() };
            let (verdicts, spoken) = (say.verdicts(&now).unwrap(), say.spoken(&now));
            let regroup = |now| reconcile(now, &Params::default(), &ScanFactory);
            let settled = settle::<IndexError>(now, &verdicts, &spoken, regroup).unwrap();
            let (old, after) = (homes(&first.groups), &settled.after.partition);
            assert_ne!(homes(&after.groups).get(&chosen), Some(&person.id), "seed {seed}: {chosen} is still there");
            for group in &after.groups {
                let mut from: BTreeMap<GroupId, BTreeSet<FaceId>> = BTreeMap::new();
                for face in group.faces.iter().filter(|face| **face != chosen) {
                    if let Some(home) = old.get(face) {
                        from.entry(*home).or_default().insert(*face);
                    }
                }
                let whole = from.values().filter(|faces| faces.len() > 1).count();
                assert!(whole < 2, "seed {seed}, {chosen} out of {}: {from:#?}", person.id);
            }
            // Without what is said with it, some would have become one: the siblings are near enough.
            let alone: Vec<Decision> = decided(&verdicts);
            let loose = run(&faces, &alone, &first).partition;
            merges += usize::from(loose.groups.len() < after.groups.len());
            tried += 1;
            let undone = run(&faces, &[], after).partition;
            assert_eq!(sets(&undone), sets(&first), "seed {seed}: undo brings the same groups back");
        }
    }
    assert!(tried > 400 && merges > 8, "{tried} splits, of which {merges} would have moved others");
}

fn decided(verdicts: &[Verdict]) -> Vec<Decision> {
    (1..).zip(verdicts).map(|(seq, verdict)| Decision { seq, batch: 1, verdict: verdict.clone() }).collect()
}

fn sets(partition: &Partition) -> BTreeSet<BTreeSet<FaceId>> {
    partition.groups.iter().map(|group| group.faces.iter().copied().collect()).collect()
}
