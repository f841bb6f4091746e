//! Scores of a grouping, computed from groups and labels.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use crate::bootstrap::{Bootstrap, Interval};

/// The scores of a grouping. Only faces of known people are scored; other faces in a group do not
/// count.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scores {
    /// Number of scored faces.
    pub faces: usize,
    /// Number of people with scored faces, strangers included.
    pub people: usize,
    /// B-cubed (Bagga & Baldwin 1998). For each face, precision is the share of its cluster that
    /// shows its person, and recall is the share of its person's faces in its cluster; both are
    /// averaged over faces. An ungrouped face is a cluster of its own.
    pub b_cubed: Rates,
    /// Precision and recall over pairs: the share of pairs within a group that are one person, and
    /// the share of a person's pairs that are within a group.
    pub pairwise: Rates,
    /// Number of groups with two scored faces or more.
    pub groups: usize,
    /// Number of groups with scored faces of two people or more.
    pub mixed_groups: usize,
    /// Number of people with one scored face, who belong in no group.
    pub strangers: usize,
    /// Number of strangers whose face shares a group with another scored face.
    pub strangers_grouped: usize,
    /// Number of people whose faces are split: two groups or more hold at least two scored faces of
    /// them each, so somebody would have to merge these groups. Ungrouped and single faces do not
    /// split a person; recall counts them.
    pub people_split: usize,
}

/// Precision, recall and F, with confidence intervals if these were computed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rates {
    /// Precision, 0 to 1; 1 where nothing was joined.
    pub precision: f64,
    /// Recall, 0 to 1; 1 where there was nothing to join.
    pub recall: f64,
    /// F: the harmonic mean of precision and recall, 0 to 1.
    pub f: f64,
    /// 95 % confidence intervals of the three, by a bootstrap over people.
    pub intervals: Option<[Interval; 3]>,
}

/// The reason why groups cannot be scored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScoreError {
    /// A group contains a face that does not exist.
    #[error("a group holds face {position}, and there are {faces} faces: groups hold positions from 0")]
    Unknown {
        /// Position of the face.
        position: usize,
        /// Number of faces.
        faces: usize,
    },
    /// A face is in a group twice, or in two groups.
    #[error("face {position} is in more than one place: groups must not overlap")]
    Twice {
        /// Position of the face.
        position: usize,
    },
}

/// The share of one person in the sums. The bootstrap weights the people's sums. A wrong pair
/// counts half for each of its two people.
#[derive(Clone, Copy, Debug, Default)]
struct PersonTally {
    faces: f64,
    precision: f64,
    recall: f64,
    right: f64,
    wrong: f64,
    pairs: f64,
}

/// Scores groups of faces. `people` has the person of each face, where it is known; groups contain
/// positions in it.
///
/// # Errors
/// [`ScoreError::Unknown`] when a group contains a position beyond `people`; [`ScoreError::Twice`]
/// when a position occurs twice.
pub fn score(people: &[Option<u32>], groups: &[Vec<usize>], bootstrap: Bootstrap) -> Result<Scores, ScoreError> {
    let clusters = clusters(people, groups)?;
    let mut sizes: BTreeMap<u32, usize> = BTreeMap::new();
    people.iter().flatten().for_each(|person| *sizes.entry(*person).or_default() += 1);
    let mut shares: BTreeMap<u32, PersonTally> =
        sizes.iter().map(|(person, size)| (*person, PersonTally::of(*size))).collect();
    let mut held: BTreeMap<u32, usize> = BTreeMap::new();
    let (mut shown, mut mixed_groups, mut strangers_grouped) = (0, 0, 0);
    for cluster in &clusters {
        let size: usize = cluster.values().sum();
        shown += usize::from(size > 1);
        mixed_groups += usize::from(cluster.len() > 1);
        for (person, count) in cluster {
            let (all, own, whole) = (size as f64, *count as f64, sizes[person] as f64);
            let share = shares.entry(*person).or_default();
            share.precision += own * own / all;
            share.recall += own * own / whole;
            share.right += own * (own - 1.0) / 2.0;
            share.wrong += own * (all - own) / 2.0;
            strangers_grouped += usize::from(sizes[person] == 1 && size > 1);
            *held.entry(*person).or_default() += usize::from(*count > 1);
        }
    }
    let shares: Vec<PersonTally> = shares.into_values().collect();
    let figures = |weights: &[f64]| figures(&shares, weights);
    let [precision, recall, f, pair_precision, pair_recall, pair_f] = figures(&vec![1.0; shares.len()]);
    let intervals = bootstrap.intervals(shares.len(), figures);
    Ok(Scores {
        faces: sizes.values().sum(),
        people: sizes.len(),
        b_cubed: Rates { precision, recall, f, intervals: intervals.map(|[a, b, c, ..]| [a, b, c]) },
        pairwise: Rates {
            precision: pair_precision,
            recall: pair_recall,
            f: pair_f,
            intervals: intervals.map(|[.., a, b, c]| [a, b, c]),
        },
        groups: shown,
        mixed_groups,
        strangers: sizes.values().filter(|size| **size == 1).count(),
        strangers_grouped,
        people_split: held.values().filter(|groups| **groups > 1).count(),
    })
}

/// Counts the scored faces of each person in each cluster; an ungrouped face is a cluster.
fn clusters(people: &[Option<u32>], groups: &[Vec<usize>]) -> Result<Vec<BTreeMap<u32, usize>>, ScoreError> {
    let mut free = vec![true; people.len()];
    let mut clusters = Vec::with_capacity(groups.len());
    for group in groups {
        let mut cluster = BTreeMap::new();
        for position in group {
            let Some(free) = free.get_mut(*position) else {
                return Err(ScoreError::Unknown { position: *position, faces: people.len() });
            };
            if !std::mem::take(free) {
                return Err(ScoreError::Twice { position: *position });
            }
            if let Some(person) = people[*position] {
                *cluster.entry(person).or_default() += 1;
            }
        }
        clusters.push(cluster);
    }
    let alone = people.iter().zip(&free).filter(|(_, free)| **free).filter_map(|(person, _)| *person);
    clusters.extend(alone.map(|person| BTreeMap::from([(person, 1)])));
    Ok(clusters)
}

impl PersonTally {
    /// Creates the tally before any cluster is counted.
    fn of(faces: usize) -> Self {
        let faces = faces as f64;
        Self { faces, pairs: faces * (faces - 1.0) / 2.0, ..Self::default() }
    }
}

/// Computes B-cubed and pairwise precision, recall and F of weighted people.
fn figures(shares: &[PersonTally], weights: &[f64]) -> [f64; 6] {
    let mut sum = PersonTally::default();
    for (share, weight) in shares.iter().zip(weights) {
        sum.faces += weight * share.faces;
        sum.precision += weight * share.precision;
        sum.recall += weight * share.recall;
        sum.right += weight * share.right;
        sum.wrong += weight * share.wrong;
        sum.pairs += weight * share.pairs;
    }
    let ratio = |part: f64, whole: f64| if whole > 0.0 { part / whole } else { 1.0 };
    let mean = |a: f64, b: f64| if a + b > 0.0 { 2.0 * a * b / (a + b) } else { 0.0 };
    let (precision, recall) = (ratio(sum.precision, sum.faces), ratio(sum.recall, sum.faces));
    let (pair_precision, pair_recall) = (ratio(sum.right, sum.right + sum.wrong), ratio(sum.right, sum.pairs));
    [precision, recall, mean(precision, recall), pair_precision, pair_recall, mean(pair_precision, pair_recall)]
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: Bootstrap = Bootstrap { draws: 0, seed: 1 };

    fn near(rates: &Rates, precision: f64, recall: f64) {
        assert!((rates.precision - precision).abs() < 1e-12, "{rates:?}, not precision {precision}");
        assert!((rates.recall - recall).abs() < 1e-12, "{rates:?}, not recall {recall}");
        let f = 2.0 * precision * recall / (precision + recall);
        assert!((rates.f - f).abs() < 1e-12, "{rates:?}, not F {f}");
    }

    /// Faces 0 to 2 are one person, 3 and 4 another, 5 is a stranger, 6 nobody knows.
    const PEOPLE: [Option<u32>; 7] = [Some(0), Some(0), Some(0), Some(1), Some(1), Some(2), None];

    #[test]
    fn a_table_counted_by_hand() {
        // Clusters of scored faces: {a a b}, {a}, {b}, {c}.
        let scores = score(&PEOPLE, &[vec![0, 1, 3, 6]], NONE).unwrap();
        // Precision: a 2/3 2/3 1, b 1/3 1, c 1. Recall: a 2/3 2/3 1/3, b 1/2 1/2, c 1.
        near(&scores.b_cubed, (4.0 / 3.0 + 1.0 + 4.0 / 3.0 + 1.0) / 6.0, (5.0 / 3.0 + 1.0 + 1.0) / 6.0);
        // One right pair of three joined and of four there are.
        near(&scores.pairwise, 1.0 / 3.0, 1.0 / 4.0);
        assert_eq!((scores.faces, scores.people), (6, 3));
        assert_eq!((scores.groups, scores.mixed_groups), (1, 1));
        assert_eq!((scores.strangers, scores.strangers_grouped, scores.people_split), (1, 0, 0));
    }

    #[test]
    fn a_face_of_an_unknown_person_counts_for_nothing() {
        let with = score(&PEOPLE, &[vec![0, 1, 2], vec![3, 4], vec![5, 6]], NONE).unwrap();
        near(&with.b_cubed, 1.0, 1.0);
        near(&with.pairwise, 1.0, 1.0);
        assert_eq!((with.groups, with.mixed_groups, with.strangers_grouped), (2, 0, 0));
    }

    #[test]
    fn a_stranger_in_a_group_is_counted() {
        let scores = score(&PEOPLE, &[vec![3, 5], vec![0, 1]], NONE).unwrap();
        assert_eq!((scores.groups, scores.mixed_groups, scores.strangers_grouped), (2, 1, 1));
        near(&scores.pairwise, 1.0 / 2.0, 1.0 / 4.0);
    }

    #[test]
    fn a_person_is_split_by_two_groups_of_two_and_by_nothing_less() {
        let people = [Some(0); 5];
        let split = |groups: &[Vec<usize>]| score(&people, groups, NONE).unwrap().people_split;
        assert_eq!(split(&[vec![0, 1], vec![2, 3]]), 1);
        assert_eq!(split(&[vec![0, 1], vec![2]]), 0);
        assert_eq!(split(&[vec![0, 1, 2, 3]]), 0);
    }

    #[test]
    fn one_group_of_all_and_no_group_at_all() {
        let all = score(&PEOPLE, &[(0..7).collect()], NONE).unwrap();
        near(&all.b_cubed, (9.0 + 4.0 + 1.0) / 36.0, 1.0);
        near(&all.pairwise, 4.0 / 15.0, 1.0);
        let nothing = score(&PEOPLE, &[], NONE).unwrap();
        near(&nothing.b_cubed, 1.0, 3.0 / 6.0);
        assert_eq!((nothing.pairwise.precision, nothing.pairwise.recall, nothing.pairwise.f), (1.0, 0.0, 0.0));
        let nobody = score(&[], &[], Bootstrap::default()).unwrap();
        assert_eq!((nobody.faces, nobody.b_cubed.f, nobody.b_cubed.intervals), (0, 1.0, None));
    }

    #[test]
    fn intervals_hold_the_figures() {
        let people: Vec<_> = (0..300).map(|face| Some(face / 3)).collect();
        // Every other person is whole, the others lose a face to the next person's group.
        let groups: Vec<Vec<usize>> = (0..50).map(|n| vec![6 * n, 6 * n + 1, 6 * n + 2, 6 * n + 3]).collect();
        let scores = score(&people, &groups, Bootstrap::default()).unwrap();
        for rates in [&scores.b_cubed, &scores.pairwise] {
            let intervals = rates.intervals.unwrap();
            for (figure, interval) in [rates.precision, rates.recall, rates.f].iter().zip(intervals) {
                assert!(interval.low <= *figure && *figure <= interval.high, "{rates:?}");
            }
        }
    }

    #[test]
    fn groups_that_are_none_are_refused() {
        assert_eq!(score(&PEOPLE, &[vec![7]], NONE), Err(ScoreError::Unknown { position: 7, faces: 7 }));
        assert_eq!(score(&PEOPLE, &[vec![1], vec![2, 1]], NONE), Err(ScoreError::Twice { position: 1 }));
    }
}
