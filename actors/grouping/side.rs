//! Sides, of which people say that they are one person or two: which pairs of faces that means. Pure.

use std::collections::BTreeSet;

use crate::domain::face::FaceId;
use crate::domain::gallery::{Decision, Verdict};

/// What a person says of a group: its cover, and all its faces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Side {
    /// The face that stands for the group.
    pub(super) cover: FaceId,
    /// All faces, the cover among them.
    pub(super) faces: BTreeSet<FaceId>,
}

/// The pairs between two sides that were said to be the same (`true`) or not (`false`), as the log stands.
fn crossing(
    log: &[Decision],
    one: &BTreeSet<FaceId>,
    other: &BTreeSet<FaceId>,
    same: bool,
) -> BTreeSet<(FaceId, FaceId)> {
    let mut pairs = BTreeSet::new();
    for decision in log {
        let (a, b, says) = match decision.verdict {
            Verdict::Same { a, b } => (a, b, true),
            Verdict::NotSame { a, b } => (a, b, false),
            Verdict::Name { .. } | Verdict::Face { .. } => continue,
        };
        if (one.contains(&a) && other.contains(&b)) || (one.contains(&b) && other.contains(&a)) {
            let pair = (a.min(b), a.max(b));
            if says == same {
                pairs.insert(pair)
            } else {
                pairs.remove(&pair)
            };
        }
    }
    pairs
}

/// These groups are one person: every face is the same as the cover of the first, whatever its likeness and its photo. What
/// was said against it, pair by pair, is overruled.
pub(super) fn merge(log: &[Decision], sides: &[Side]) -> Vec<Verdict> {
    let Some(first) = sides.first() else { return Vec::new() };
    let mut pairs: Vec<(FaceId, FaceId)> = Vec::new();
    for (at, side) in sides.iter().enumerate() {
        pairs.extend(side.faces.iter().filter(|face| **face != first.cover).map(|face| (first.cover, *face)));
        for earlier in &sides[..at] {
            pairs.extend(crossing(log, &earlier.faces, &side.faces, false));
        }
    }
    let mut seen = BTreeSet::new();
    pairs.retain(|&(a, b)| seen.insert((a.min(b), a.max(b))));
    pairs.into_iter().map(|(a, b)| Verdict::Same { a, b }).collect()
}

/// The chosen faces are one person, and none of the others of their group is: the chosen are the same
/// among each other and not the same as any of the rest. What was said against it is overruled.
pub(super) fn split(log: &[Decision], group: &Side, chosen: &BTreeSet<FaceId>) -> Vec<Verdict> {
    let rest: BTreeSet<FaceId> = group.faces.difference(chosen).copied().collect();
    let Some(&first) = chosen.first() else { return Vec::new() };
    let mut verdicts: Vec<Verdict> = crossing(log, chosen, &rest, true)
        .into_iter()
        .filter(|(a, b)| *a != first && *b != first)
        .map(|(a, b)| Verdict::NotSame { a, b })
        .collect();
    verdicts.extend(chosen.iter().skip(1).map(|&b| Verdict::Same { a: first, b }));
    verdicts.extend(rest.into_iter().map(|b| Verdict::NotSame { a: first, b }));
    verdicts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn f(n: u8) -> FaceId {
        FaceId([n; 16])
    }

    fn side(cover: u8, faces: &[u8]) -> Side {
        Side { cover: f(cover), faces: faces.iter().map(|&n| f(n)).collect() }
    }
    fn said(verdicts: Vec<Verdict>) -> Vec<Decision> {
        (1..).zip(verdicts).map(|(seq, verdict)| Decision { seq, batch: 1, verdict }).collect()
    }

    #[test]
    fn merging_joins_all_faces_and_overrules_what_was_said_against_it() {
        let log = said(vec![
            Verdict::NotSame { a: f(1), b: f(4) },
            Verdict::NotSame { a: f(1), b: f(9) },
            Verdict::NotSame { a: f(2), b: f(3) },
            Verdict::Same { a: f(3), b: f(2) },
        ]);
        let verdicts = merge(&log, &[side(2, &[1, 2]), side(3, &[3, 4]), side(5, &[5])]);
        assert_eq!(
            verdicts,
            vec![
                Verdict::Same { a: f(2), b: f(1) },
                Verdict::Same { a: f(2), b: f(3) },
                Verdict::Same { a: f(2), b: f(4) },
                Verdict::Same { a: f(1), b: f(4) },
                Verdict::Same { a: f(2), b: f(5) }
            ]
        );
    }

    #[test]
    fn splitting_sets_the_chosen_apart_from_every_other() {
        let log = said(vec![Verdict::Same { a: f(2), b: f(3) }, Verdict::Same { a: f(1), b: f(2) }]);
        let verdicts = split(&log, &side(3, &[1, 2, 3, 4]), &[f(1), f(2)].into());
        assert_eq!(
            verdicts,
            vec![
                Verdict::NotSame { a: f(2), b: f(3) },
                Verdict::Same { a: f(1), b: f(2) },
                Verdict::NotSame { a: f(1), b: f(3) },
                Verdict::NotSame { a: f(1), b: f(4) }
            ]
        );
    }
}
