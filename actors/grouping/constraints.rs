//! What people said, as constraints on grouping: who must and who must not share a group.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::face::FaceId;
use crate::domain::gallery::{Decision, Verdict};

/// Decisions resolved into constraints that do not contradict each other.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Constraints {
    /// Faces that are one person by word of a person: sets of two or more, ascending.
    pub units: Vec<Vec<FaceId>>,
    /// Pairs that are two people, smaller id first.
    pub apart: BTreeSet<(FaceId, FaceId)>,
    unit_of: BTreeMap<FaceId, usize>,
}

impl Constraints {
    /// Resolves a log. On one pair, and where decisions contradict each other through others, the later one wins: they
    /// are taken from the last to the first, and one that contradicts what already holds is passed over.
    pub(crate) fn from_decisions(decisions: &[Decision]) -> Self {
        let mut latest_first: Vec<_> = decisions.iter().collect();
        latest_first.sort_by_key(|d| std::cmp::Reverse(d.seq));
        let mut sets = Sets::default();
        let mut seen = BTreeSet::new();
        let mut apart: BTreeSet<(FaceId, FaceId)> = BTreeSet::new();
        for decision in latest_first {
            let (a, b, same) = match &decision.verdict {
                Verdict::Same { a, b } => (*a, *b, true),
                Verdict::NotSame { a, b } => (*a, *b, false),
                Verdict::Name { .. } | Verdict::Face { .. } => continue,
            };
            let pair = (a.min(b), a.max(b));
            if a == b || !seen.insert(pair) {
                continue;
            }
            let (left, right) = (sets.find(a), sets.find(b));
            if same && !sets.foes(left, right) {
                sets.unite(left, right);
            } else if !same && left != right {
                sets.oppose(left, right);
                apart.insert(pair);
            }
        }
        let mut classes: BTreeMap<FaceId, Vec<FaceId>> = BTreeMap::new();
        for face in sets.parent.keys().copied().collect::<Vec<_>>() {
            let root = sets.find(face);
            classes.entry(root).or_default().push(face);
        }
        let mut units: Vec<_> = classes.into_values().filter(|unit| unit.len() > 1).collect();
        units.sort();
        let unit_of = units.iter().enumerate().flat_map(|(n, unit)| unit.iter().map(move |f| (*f, n))).collect();
        Self { units, apart, unit_of }
    }

    /// The faces tied to this one by word of a person, itself included; none where nobody spoke of it.
    pub(crate) fn unit(&self, face: FaceId) -> Option<&[FaceId]> {
        self.unit_of.get(&face).map(|n| self.units[*n].as_slice())
    }

    /// Whether a person said that these are two people.
    pub(crate) fn said_apart(&self, a: FaceId, b: FaceId) -> bool {
        self.apart.contains(&(a.min(b), a.max(b)))
    }

    /// Every face spoken of.
    pub(crate) fn faces(&self) -> BTreeSet<FaceId> {
        self.units.iter().flatten().copied().chain(self.apart.iter().flat_map(|(a, b)| [*a, *b])).collect()
    }
}

/// Disjoint sets that know their foes.
#[derive(Default)]
struct Sets {
    parent: BTreeMap<FaceId, FaceId>,
    foes: BTreeMap<FaceId, BTreeSet<FaceId>>,
}

impl Sets {
    fn find(&mut self, face: FaceId) -> FaceId {
        let mut root = face;
        while let Some(up) = self.parent.get(&root).filter(|up| **up != root) {
            root = *up;
        }
        self.parent.insert(face, root);
        root
    }

    fn foes(&self, a: FaceId, b: FaceId) -> bool {
        self.foes.get(&a).is_some_and(|foes| foes.contains(&b))
    }

    fn oppose(&mut self, a: FaceId, b: FaceId) {
        self.foes.entry(a).or_default().insert(b);
        self.foes.entry(b).or_default().insert(a);
    }

    fn unite(&mut self, a: FaceId, b: FaceId) {
        let (root, child) = (a.min(b), a.max(b));
        if root == child {
            return;
        }
        self.parent.insert(child, root);
        for foe in self.foes.remove(&child).unwrap_or_default() {
            if let Some(theirs) = self.foes.get_mut(&foe) {
                theirs.remove(&child);
            }
            self.oppose(root, foe);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn face(n: u8) -> FaceId {
        FaceId([n; 16])
    }

    /// `+ab` says same, `-ab` says not the same, in this order.
    fn resolve(log: &str) -> Constraints {
        let decisions = log.split_whitespace().enumerate().map(|(seq, word)| {
            let [say, a, b] = word.as_bytes() else { panic!("a word is three letters: {word}") };
            let (a, b) = (face(*a), face(*b));
            let verdict = if *say == b'+' { Verdict::Same { a, b } } else { Verdict::NotSame { a, b } };
            Decision { seq: seq as u64, batch: 0, verdict }
        });
        Constraints::from_decisions(&decisions.collect::<Vec<_>>())
    }

    #[test]
    fn later_decisions_win_over_earlier_ones() {
        type Row<'a> = (&'a str, &'a [&'a [u8]], &'a [(u8, u8)]);
        let table: &[Row] = &[
            ("", &[], &[]),
            ("+ab", &[b"ab"], &[]),
            ("+ab -ba", &[], &[(b'a', b'b')]),
            ("-ab +ab", &[b"ab"], &[]),
            ("+ab +bc", &[b"abc"], &[]),
            // Through others: the last word holds, the oldest contradicted one falls.
            ("+ab +bc -ac", &[b"bc"], &[(b'a', b'c')]),
            ("-ac +ab +bc", &[b"abc"], &[]),
            ("+ab -bc +cd", &[b"ab", b"cd"], &[(b'b', b'c')]),
            ("+aa", &[], &[]),
        ];
        for (log, units, apart) in table {
            let got = resolve(log);
            let units: Vec<Vec<_>> = units.iter().map(|u| u.iter().map(|n| face(*n)).collect()).collect();
            assert_eq!(got.units, units, "{log}");
            let apart: BTreeSet<_> = apart.iter().map(|(a, b)| (face(*a), face(*b))).collect();
            assert_eq!(got.apart, apart, "{log}");
        }
    }
}
