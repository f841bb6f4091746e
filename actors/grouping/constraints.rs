//! The facts that people stated, as constraints on grouping: which faces must share a group, and which must not.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use crate::domain::face::FaceId;
use crate::domain::facts::Facts;
use crate::domain::gallery::{FaceVector, GroupId, Partition};
use crate::grouping::heap_size;

/// Constraints over the faces of a gallery, free of contradictions.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Constraints {
    /// Faces of each person, ascending. They are in one group, and no other person's faces are in it.
    pub units: Vec<Vec<FaceId>>,
    /// Person of each unit.
    persons: Vec<GroupId>,
    /// Pairs of faces that are two people, the smaller id first. There are enough pairs to cover every fact about two
    /// people.
    pub apart: BTreeSet<(FaceId, FaceId)>,
    unit_of: HashMap<FaceId, usize>,
    /// Faces that are known not to be the person of a unit.
    strangers: HashSet<(FaceId, usize)>,
}

impl Constraints {
    /// Returns the bytes that the constraints keep on the heap.
    pub(crate) fn heap_size(&self) -> usize {
        let Self { units, persons, apart, unit_of, strangers } = self;
        let tables = heap_size::map(unit_of) + heap_size::set(strangers);
        heap_size::vecs(units) + heap_size::vec(persons) + heap_size::tree(apart) + tables
    }

    /// Builds the constraints over the faces of a gallery. A person of whose confirmed faces none is in the gallery
    /// keeps the faces of its previous group, so that a name is not lost with a photo.
    pub(crate) fn new(facts: &Facts, faces: &[FaceVector], previous: &Partition) -> Self {
        if *facts == Facts::default() {
            return Self::default();
        }
        let there: HashSet<FaceId> = faces.iter().map(|face| face.id).collect();
        let mut units: BTreeMap<GroupId, Vec<FaceId>> = BTreeMap::new();
        for face in facts.confirmed.keys().filter(|face| there.contains(face)) {
            if let Some(person) = facts.person_of(*face) {
                units.entry(person).or_default().push(*face);
            }
        }
        for group in previous.groups.iter().filter(|group| facts.persons.contains_key(&group.id)) {
            if units.contains_key(&group.id) {
                continue;
            }
            let is_free = |face: &FaceId| {
                there.contains(face)
                    && facts.person_of(*face).is_none()
                    && !facts.not_persons.contains(&(*face, group.id))
            };
            let left: Vec<FaceId> = group.faces.iter().copied().filter(is_free).collect();
            if !left.is_empty() {
                units.insert(group.id, left);
            }
        }
        let (persons, units): (Vec<GroupId>, Vec<Vec<FaceId>>) = units.into_iter().unzip();
        let unit_of = units.iter().enumerate().flat_map(|(n, unit)| unit.iter().map(move |face| (*face, n))).collect();
        let mut constraints = Self { units, persons, unit_of, ..Self::default() };
        for (a, b) in facts.not_same.iter().filter(|(a, b)| there.contains(a) && there.contains(b)) {
            if a != b && !constraints.are_one(*a, *b) {
                constraints.apart.insert((*a, *b));
            }
        }
        for (face, person) in facts.not_persons.iter().filter(|(face, _)| there.contains(face)) {
            let Ok(unit) = constraints.persons.binary_search(person) else { continue };
            if constraints.unit_of.get(face) != Some(&unit) {
                let one = constraints.units[unit][0];
                constraints.apart.insert((one.min(*face), one.max(*face)));
                constraints.strangers.insert((*face, unit));
            }
        }
        constraints
    }

    /// Returns the faces that people assigned to the same person as this one, itself included; `None` where nobody
    /// assigned it.
    pub(crate) fn unit(&self, face: FaceId) -> Option<&[FaceId]> {
        self.unit_of.get(&face).map(|n| self.units[*n].as_slice())
    }

    /// Returns the person to whom people assigned a face.
    pub(crate) fn person(&self, face: FaceId) -> Option<GroupId> {
        self.unit_of.get(&face).map(|n| self.persons[*n])
    }

    /// Returns whether people assigned both faces to the same person.
    pub(crate) fn are_one(&self, a: FaceId, b: FaceId) -> bool {
        let unit = self.unit_of.get(&a);
        unit.is_some() && unit == self.unit_of.get(&b)
    }

    /// Returns whether people said that these are two people.
    pub(crate) fn said_apart(&self, a: FaceId, b: FaceId) -> bool {
        if self.unit_of.is_empty() && self.apart.is_empty() {
            return false;
        }
        let (one, other) = (self.unit_of.get(&a), self.unit_of.get(&b));
        one.zip(other).is_some_and(|(one, other)| one != other)
            || self.apart.contains(&(a.min(b), a.max(b)))
            || other.is_some_and(|unit| self.strangers.contains(&(a, *unit)))
            || one.is_some_and(|unit| self.strangers.contains(&(b, *unit)))
    }

    /// Returns every face whose constraints differ between the two.
    pub(crate) fn differing(&self, other: &Self) -> BTreeSet<FaceId> {
        let pairs = self.apart.symmetric_difference(&other.apart).flat_map(|(a, b)| [*a, *b]);
        let mut faces: BTreeSet<FaceId> = pairs.collect();
        for (one, another) in [(self, other), (other, self)] {
            for (unit, person) in one.units.iter().zip(&one.persons) {
                let same = another.persons.binary_search(person).is_ok_and(|at| another.units[at] == *unit);
                if !same {
                    faces.extend(unit);
                }
            }
            let person = |of: &Self, (face, unit): &(FaceId, usize)| (*face, of.persons[*unit]);
            let others: HashSet<_> = another.strangers.iter().map(|pair| person(another, pair)).collect();
            faces.extend(
                one.strangers.iter().filter(|pair| !others.contains(&person(one, pair))).map(|(face, _)| *face),
            );
        }
        faces
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::fact::Fact;
    use crate::domain::gallery::Group;
    use crate::domain::person::Person;

    fn f(n: u8) -> FaceId {
        FaceId([n; 16])
    }

    fn g(n: u8) -> GroupId {
        GroupId([n; 16])
    }

    fn face(n: u8) -> FaceVector {
        crate::grouping::tests::bare(f(n))
    }

    fn group(n: u8, faces: &[u8]) -> Group {
        Group {
            id: g(n),
            faces: faces.iter().map(|n| f(*n)).collect(),
            cover: f(faces[0]),
            centroid: vec![1.0],
            name: None,
        }
    }

    /// `+ab`: face a is of person b; `-ab`: it is not; `!ab`: faces a and b are two people. Persons are digits.
    fn facts(words: &str) -> Facts {
        let mut facts = Facts::default();
        for word in words.split_whitespace() {
            let [say, a, b] = word.as_bytes() else { panic!("a word has three letters: {word}") };
            if *say != b'!' {
                facts.set(Fact::Person { id: g(*b), person: Person::default() });
            }
            facts.set(match say {
                b'+' => Fact::Confirmed { face: f(*a), person: g(*b) },
                b'-' => Fact::NotPerson { face: f(*a), person: g(*b) },
                _ => Fact::not_same(f(*a), f(*b)),
            });
        }
        facts
    }

    #[test]
    fn persons_are_units_that_never_meet() {
        let faces: Vec<FaceVector> = b"abcdef".iter().map(|n| face(*n)).collect();
        let before = Partition { groups: vec![group(b'1', b"abx"), group(b'2', b"cd")], ..Partition::default() };
        type Row<'a> = (&'a str, &'a [&'a [u8]], &'a [(u8, u8)], &'a [(u8, u8)]);
        let table: &[Row] = &[
            ("", &[], &[], &[(b'a', b'b')]),
            ("+a1 +b1", &[b"ab"], &[], &[(b'a', b'c')]),
            // Two persons are two people, whatever else was said.
            ("+a1 +b2", &[b"a", b"b"], &[(b'a', b'b')], &[(b'a', b'c')]),
            ("!ab", &[], &[(b'a', b'b')], &[]),
            // A face that was confirmed is not a stranger, and no foe of its own.
            ("+a1 +b1 !ab -a1", &[b"ab"], &[], &[(b'a', b'b')]),
            ("+b1 +c1 -a1", &[b"bc"], &[(b'a', b'b'), (b'a', b'c')], &[]),
            // The only confirmed face is gone: the group that the person had holds its name.
            ("+x1", &[b"ab"], &[], &[]),
            ("+x1 -a1", &[b"b"], &[(b'a', b'b')], &[]),
            ("+x1 +a2", &[b"b", b"a"], &[(b'a', b'b')], &[]),
            // A person that never had a group, and whose faces are gone, constrains nothing.
            ("+x3", &[], &[], &[]),
        ];
        for (words, units, apart, free) in table {
            let got = Constraints::new(&facts(words), &faces, &before);
            let units: Vec<Vec<_>> = units.iter().map(|unit| unit.iter().map(|n| f(*n)).collect()).collect();
            assert_eq!(got.units, units, "{words}");
            for (pairs, expected) in [(apart, true), (free, false)] {
                for (a, b) in *pairs {
                    assert_eq!(got.said_apart(f(*a), f(*b)), expected, "{words}: {a} {b}");
                    assert_eq!(got.said_apart(f(*b), f(*a)), expected, "{words}: {b} {a}");
                }
            }
        }
    }

    #[test]
    fn only_what_differs_is_looked_at_again() {
        let faces: Vec<FaceVector> = b"abcdef".iter().map(|n| face(*n)).collect();
        let of = |words: &str| Constraints::new(&facts(words), &faces, &Partition::default());
        for (one, other, expected) in [
            ("+a1 +b1 +c2", "+a1 +b1 +c2", &b""[..]),
            ("+a1 +b1 +c2", "+a1 +b1 +d2", b"cd"),
            ("+a1 +b1", "+a1", b"ab"),
            ("+a1 !ce", "+a1 !de", b"cde"),
            ("+a1 -b1", "+a1 -c1", b"abc"),
        ] {
            let got: Vec<FaceId> = of(one).differing(&of(other)).into_iter().collect();
            assert_eq!(got, expected.iter().map(|n| f(*n)).collect::<Vec<_>>(), "{one} and {other}");
        }
    }
}
