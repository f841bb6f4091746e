//! Ids, names and redirects across runs.

use std::collections::BTreeMap;

use super::*;
use crate::domain::gallery::{GroupId, Lineage};
use crate::grouping::identity::{born_of, identify};

fn groups(clusters: &[&[usize]], previous: &Partition, facts: &Facts) -> Reconciled {
    let vector = [1.0_f32, 0.0];
    let mut clusters: Vec<Vec<FaceId>> = clusters.iter().map(|c| c.iter().map(|n| face_id(*n)).collect()).collect();
    clusters.iter_mut().for_each(|cluster| cluster.sort_unstable());
    clusters.sort();
    identify(&clusters, previous, facts, |face| facts.person_of(face), |_| Some((&vector, 0.5)))
}

fn id_of(partition: &Partition, n: usize) -> Option<GroupId> {
    partition.groups.iter().find(|group| group.faces.contains(&face_id(n))).map(|group| group.id)
}

#[test]
fn the_larger_side_keeps_the_id_in_merges_and_splits() {
    let first = groups(&[&[0, 1, 2], &[3, 4]], &Partition::default(), &Facts::default()).partition;
    let (big, small) = (id_of(&first, 0).expect("a group"), id_of(&first, 3).expect("a group"));
    let merged = groups(&[&[0, 1, 2, 3, 4]], &first, &Facts::default());
    assert_eq!(id_of(&merged.partition, 3), Some(big));
    assert_eq!(merged.partition.redirects, BTreeMap::from([(small, big)]));
    assert_eq!(merged.lineage, [Lineage::Merged { from: small, into: big }]);
    // Undone: the redirected id comes back.
    let undone = groups(&[&[0, 1, 2], &[3, 4]], &merged.partition, &Facts::default());
    assert_eq!(undone.partition, first);
    assert_eq!(undone.lineage, [Lineage::Split { from: big, part: small }]);
    // A split's smaller part is new.
    let split = groups(&[&[0, 1], &[2], &[3, 4]], &first, &Facts::default());
    assert_eq!(id_of(&split.partition, 1), Some(big));
    let part = id_of(&split.partition, 2).expect("a group");
    assert!(part != big && part != small);
    assert_eq!(split.lineage, [Lineage::Split { from: big, part }]);
}

#[test]
fn redirects_make_no_chains_and_end_with_their_target() {
    let first = groups(&[&[0, 1, 2, 3], &[4, 5, 6], &[7, 8]], &Partition::default(), &Facts::default()).partition;
    let [a, b, c] = [0, 4, 7].map(|n| id_of(&first, n).expect("a group"));
    let second = groups(&[&[0, 1, 2, 3], &[4, 5, 6, 7, 8]], &first, &Facts::default()).partition;
    let third = groups(&[&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]], &second, &Facts::default()).partition;
    let last = id_of(&third, 9).expect("a group");
    let others: BTreeMap<_, _> = [a, b, c].into_iter().filter(|id| *id != last).map(|id| (id, last)).collect();
    assert_eq!(third.redirects, others);
    let gone = groups(&[&[20, 21]], &third, &Facts::default());
    assert!(gone.partition.redirects.is_empty());
    assert!(gone.lineage.contains(&Lineage::Died { group: last }), "{:?}", gone.lineage);
}

#[test]
fn two_groups_of_one_size_that_were_merged_get_their_ids_back() {
    for (one, other) in [([0, 1], [2, 3]), ([5, 9], [6, 7]), ([10, 13], [11, 12])] {
        let apart = groups(&[&one, &other], &Partition::default(), &Facts::default()).partition;
        let merged = groups(&[&[one, other].concat()], &apart, &Facts::default()).partition;
        assert_eq!(merged.groups.len(), 1);
        assert_eq!(groups(&[&one, &other], &merged, &Facts::default()).partition, apart);
    }
}

#[test]
fn a_group_that_went_into_several_gets_its_id_back() {
    for n in 0..9 {
        let [one, other, third] = [[n, n + 1, n + 2], [n + 3, n + 4, n + 5], [n + 6, n + 7, n + 8]];
        let first = groups(&[&one, &other, &third], &Partition::default(), &Facts::default()).partition;
        let gone =
            groups(&[&[n, n + 3, n + 4, n + 5], &[n + 1, n + 6, n + 7, n + 8]], &first, &Facts::default()).partition;
        assert_eq!(gone.groups.len(), 2);
        assert_eq!(groups(&[&one, &other, &third], &gone, &Facts::default()).partition, first);
    }
}

#[test]
fn a_new_id_avoids_live_and_redirected_ones() {
    let taken = born_of(face_id(0).min(face_id(1)));
    for previous in [
        Partition {
            redirects: BTreeMap::from([(taken, born_of(face_id(5).min(face_id(6))))]),
            ..groups(&[&[5, 6]], &Partition::default(), &Facts::default()).partition
        },
        {
            let mut previous = groups(&[&[5, 6]], &Partition::default(), &Facts::default()).partition;
            previous.groups[0].id = taken;
            previous
        },
    ] {
        let next = groups(&[&[0, 1], &[5, 6]], &previous, &Facts::default()).partition;
        assert_ne!(id_of(&next, 0), Some(taken));
        assert_eq!(next.groups.len(), 2);
        assert_ne!(next.groups[0].id, next.groups[1].id);
    }
}

#[test]
fn a_person_keeps_id_name_and_cover_whatever_is_computed() {
    let called = |r: &Reconciled, n| {
        let group = r.partition.groups.iter().find(|group| group.faces.contains(&face_id(n)));
        group.map(|group| (group.id, group.name.clone(), group.cover))
    };
    let (ada, bo) = (GroupId([1; 16]), GroupId([2; 16]));
    let person = |name: &str, cover| Person { name: Some(name.into()), cover, ..Person::default() };
    let facts: Facts = [
        Fact::Person { id: ada, person: person("Ada", Some(face_id(2))) },
        Fact::Person { id: bo, person: person("Bo", None) },
        Fact::Confirmed { face: face_id(0), person: ada },
        Fact::Confirmed { face: face_id(3), person: bo },
    ]
    .into_iter()
    .collect();
    let first = groups(&[&[0, 1, 2], &[3, 4]], &Partition::default(), &facts);
    assert_eq!(called(&first, 1), Some((ada, Some("Ada".into()), face_id(2))));
    assert_eq!(called(&first, 4).map(|found| (found.0, found.1)), Some((bo, Some("Bo".into()))));
    // Its confirmed face alone is Ada, however many of her computed faces go elsewhere.
    let torn = groups(&[&[0], &[1, 2, 5, 6], &[3, 4]], &first.partition, &facts);
    assert_eq!(called(&torn, 0).map(|found| found.0), Some(ada));
    assert!(called(&torn, 1).is_some_and(|(id, name, _)| id != ada && id != bo && name.is_none()));
    // All photos of Bo are gone, and come back: nobody else had the id, and no link leads from it to another.
    let gone = groups(&[&[0, 1, 2]], &first.partition, &facts);
    assert!(gone.lineage.contains(&Lineage::Died { group: bo }) && gone.partition.redirects.is_empty());
    let back = groups(&[&[0, 1, 2], &[3, 4]], &gone.partition, &facts);
    assert_eq!(back.partition, first.partition);
    // What is left of Bo's faces went into another group: it is not Bo's id that leads there.
    let rest = groups(&[&[0, 1, 2, 4]], &first.partition, &facts);
    assert!(rest.partition.redirects.is_empty(), "{:?}", rest.partition.redirects);
}

#[test]
fn taking_facts_back_restores_the_former_partition() {
    for seed in 0..60 {
        let faces = gallery(seed, 50);
        let before = run(&faces, &Facts::default(), &Partition::default()).partition;
        let facts = said(&mut Rng(seed), &faces, 1 + (seed as usize % 3));
        let during = run(&faces, &facts, &before).partition;
        let after = run(&faces, &Facts::default(), &during).partition;
        let sets = |p: &Partition| {
            let mut sets: Vec<_> = p.groups.iter().map(|g| g.faces.clone()).collect();
            sets.sort();
            sets
        };
        assert_eq!(sets(&after), sets(&before), "seed {seed}");
        let kept = before.groups.iter().filter(|g| after.groups.contains(g)).count();
        assert!(kept + 2 >= before.groups.len(), "seed {seed}: {kept} of {} ids", before.groups.len());
    }
}

/// People with a realistic spread in enough dimensions: what growth looks like.
fn clean(seed: u64, photos: usize) -> Vec<FaceVector> {
    let mut rng = Rng(seed);
    let people: Vec<_> = (0..photos / 12).map(|_| rng.direction(256)).collect();
    let one = |n, rng: &mut Rng| {
        let person = rng.below(people.len());
        let embedding = if rng.below(5) == 0 { rng.direction(256) } else { near(rng, &people[person], 0.6) };
        face(n, n, embedding, 0.2 + 0.8 * rng.unit())
    };
    (0..photos).map(|n| one(n, &mut rng)).collect()
}

#[test]
fn ids_survive_a_growth_of_a_tenth() {
    let (mut survived, mut all) = (0, 0);
    for seed in 0..8 {
        let faces = clean(seed, 660);
        let before = run(&faces[..600], &Facts::default(), &Partition::default()).partition;
        let after = run(&faces, &Facts::default(), &before).partition;
        let home: BTreeMap<_, _> = after.groups.iter().flat_map(|g| g.faces.iter().map(|f| (*f, g.id))).collect();
        for group in &before.groups {
            all += group.faces.len();
            survived += group.faces.iter().filter(|face| home.get(face) == Some(&group.id)).count();
        }
    }
    assert!(all > 3000, "{all} grouped faces");
    assert!(survived * 1000 >= all * 999, "{survived} of {all} faces kept their group's id");
}
