//! The partition is a function of the set of faces.

use super::*;
use crate::grouping::calibration::Calibration;
use crate::grouping::cluster::Clustering;
use crate::grouping::constraints::Constraints;

fn params(k: usize) -> Params {
    Params { k, ..Params::default() }
}

fn calibration(faces: &[FaceVector]) -> Calibration {
    Calibration::learn(&Params::default(), faces[0].embedding.len(), faces)
}

/// All at once, against in random bites and order, with detours: faces that come and go, come twice, or change.
fn hold(seed: u64, k: usize) {
    let faces = gallery(seed, 40);
    let mut rng = Rng(seed ^ 0xfeed);
    let facts = said(&mut rng, &faces, 6);
    let constraints = |facts: &Facts| Constraints::new(facts, &faces, &Partition::default());
    let mut once = Clustering::new(params(k), calibration(&faces), &ScanFactory).expect("an index");
    once.insert(&faces, &ScanFactory).expect("equal dimensions");
    once.constrain(constraints(&facts));

    let mut bites = Clustering::new(params(k), calibration(&faces), &ScanFactory).expect("an index");
    let mut left = faces.clone();
    rng.shuffle(&mut left);
    while !left.is_empty() {
        let bite = left.split_off(left.len() - 1 - rng.below(left.len().min(4)));
        let passing: Vec<_> = (0..rng.below(3)).map(|n| gallery(seed + 99, 9)[n].clone()).map(stranger).collect();
        let gone: Vec<_> = passing.iter().map(|face| face.id).collect();
        let mut other = bite[0].clone();
        other.quality = 1.0 - other.quality;
        bites.insert(&[other], &ScanFactory).expect("a face that will change");
        bites.insert(&passing, &ScanFactory).expect("faces that will go");
        if rng.below(3) == 0 {
            let others = said(&mut rng, &faces, 6);
            bites.constrain(constraints(&others));
        }
        bites.insert(&bite, &ScanFactory).expect("the faces");
        bites.insert(&bite, &ScanFactory).expect("the same faces again");
        bites.remove(&gone, &ScanFactory).expect("gone");
    }
    bites.constrain(constraints(&facts));
    assert_eq!(bites.partition(), once.partition(), "seed {seed}, k {k}");
}

fn stranger(mut face: FaceVector) -> FaceVector {
    face.id.0[0] ^= 0x55;
    face
}

#[test]
fn faces_added_in_any_order_end_in_the_same_partition_as_all_at_once() {
    (0..120).for_each(|seed| hold(seed, 64));
}

#[test]
fn so_do_galleries_with_more_neighbours_than_are_kept() {
    (0..120).for_each(|seed| hold(seed, 3));
}

#[test]
fn a_gallery_of_copies_of_two_shots_is_one_group_whatever_the_order() {
    let shots = [vec![0.6, 0.8, 0.0], vec![0.8, 0.6, 0.0]];
    let mut faces: Vec<_> = (0..30).map(|n| face(n, n, shots[n % 2].clone(), 0.9)).collect();
    for _ in 0..5 {
        Rng(7).shuffle(&mut faces);
        let mut clustering = Clustering::new(params(64), calibration(&faces), &ScanFactory).expect("an index");
        for one in &faces {
            clustering.insert(std::slice::from_ref(one), &ScanFactory).expect("a copy");
        }
        assert_eq!(clustering.partition().len(), 1);
    }
}

#[test]
fn running_again_changes_nothing() {
    for seed in 0..40 {
        let faces = gallery(seed, 60);
        let first = run(&faces, &Facts::default(), &Partition::default());
        let second = run(&faces, &Facts::default(), &first.partition);
        assert_eq!(second.partition, first.partition, "seed {seed}");
        assert!(second.lineage.is_empty(), "seed {seed}: {:?}", second.lineage);
    }
}

#[test]
fn vectors_that_are_not_finite_are_in_no_group() {
    let mut faces: Vec<_> = (0..4).map(|n| face(n, n, normal(vec![1.0, 0.3 * n as f32]), 0.9)).collect();
    faces.push(face(4, 4, vec![f32::NAN, 0.0], 0.9));
    assert_eq!(sets(faces, &Facts::default()).concat().len(), 4);
}
