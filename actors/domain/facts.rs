//! All that people said of a gallery and that holds now.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::face::FaceId;
use crate::domain::face_place::FacePlace;
use crate::domain::fact::{Fact, FactKey};
use crate::domain::gallery::GroupId;
use crate::domain::person::Person;

/// All facts of a gallery, or those about some faces and persons of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    /// The persons.
    pub persons: BTreeMap<GroupId, Person>,
    /// Whose a face is.
    pub confirmed: BTreeMap<FaceId, GroupId>,
    /// Whose a face is not.
    pub not_persons: BTreeSet<(FaceId, GroupId)>,
    /// Faces of two people, the smaller id first.
    pub not_same: BTreeSet<(FaceId, FaceId)>,
    /// Persons that are not one, the smaller id first.
    pub persons_apart: BTreeSet<(GroupId, GroupId)>,
    /// Whether a detection is a face.
    pub are_faces: BTreeMap<FaceId, bool>,
    /// Faces of which somebody was asked whether they are of a person, and left it open.
    pub skipped: BTreeSet<(FaceId, GroupId)>,
    /// What became of persons that turned out to be others.
    pub became: BTreeMap<GroupId, GroupId>,
    /// Where the faces are that others of these speak of.
    pub places: BTreeMap<FaceId, FacePlace>,
}

/// One fact that changes: it comes, goes, or takes the place of another with the same key.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Edit {
    /// What held before.
    pub before: Option<Fact>,
    /// What holds now.
    pub after: Option<Fact>,
}

impl Edit {
    /// What it is about; `None` of an edit of nothing.
    pub fn key(&self) -> Option<FactKey> {
        self.before.as_ref().or(self.after.as_ref()).map(Fact::key)
    }
}

impl Facts {
    /// The fact with this key.
    pub fn get(&self, key: FactKey) -> Option<Fact> {
        match key {
            FactKey::Person(id) => self.persons.get(&id).map(|person| Fact::Person { id, person: person.clone() }),
            FactKey::Confirmed(face) => {
                self.confirmed.get(&face).map(|person| Fact::Confirmed { face, person: *person })
            }
            FactKey::NotPerson(face, person) => {
                self.not_persons.contains(&(face, person)).then_some(Fact::NotPerson { face, person })
            }
            FactKey::NotSame(a, b) => self.not_same.contains(&(a, b)).then_some(Fact::NotSame { a, b }),
            FactKey::PersonsApart(a, b) => self.persons_apart.contains(&(a, b)).then_some(Fact::PersonsApart { a, b }),
            FactKey::IsFace(face) => self.are_faces.get(&face).map(|is_face| Fact::IsFace { face, is_face: *is_face }),
            FactKey::Skipped(face, person) => {
                self.skipped.contains(&(face, person)).then_some(Fact::Skipped { face, person })
            }
            FactKey::Became(from) => self.became.get(&from).map(|into| Fact::Became { from, into: *into }),
            FactKey::Place(face) => self.places.get(&face).map(|place| Fact::Place { face, place: *place }),
        }
    }

    /// Makes a fact hold; another with the same key holds no more.
    pub fn set(&mut self, fact: Fact) {
        match fact {
            Fact::Person { id, person } => {
                self.persons.insert(id, person);
            }
            Fact::Confirmed { face, person } => {
                self.confirmed.insert(face, person);
            }
            Fact::NotPerson { face, person } => {
                self.not_persons.insert((face, person));
            }
            Fact::NotSame { a, b } => {
                self.not_same.insert((a, b));
            }
            Fact::PersonsApart { a, b } => {
                self.persons_apart.insert((a, b));
            }
            Fact::IsFace { face, is_face } => {
                self.are_faces.insert(face, is_face);
            }
            Fact::Skipped { face, person } => {
                self.skipped.insert((face, person));
            }
            Fact::Became { from, into } => {
                self.became.insert(from, into);
            }
            Fact::Place { face, place } => {
                self.places.insert(face, place);
            }
        }
    }

    /// Makes the fact with this key hold no more.
    pub fn remove(&mut self, key: FactKey) {
        match key {
            FactKey::Person(id) => drop(self.persons.remove(&id)),
            FactKey::Confirmed(face) => drop(self.confirmed.remove(&face)),
            FactKey::NotPerson(face, person) => drop(self.not_persons.remove(&(face, person))),
            FactKey::NotSame(a, b) => drop(self.not_same.remove(&(a, b))),
            FactKey::PersonsApart(a, b) => drop(self.persons_apart.remove(&(a, b))),
            FactKey::IsFace(face) => drop(self.are_faces.remove(&face)),
            FactKey::Skipped(face, person) => drop(self.skipped.remove(&(face, person))),
            FactKey::Became(from) => drop(self.became.remove(&from)),
            FactKey::Place(face) => drop(self.places.remove(&face)),
        }
    }

    /// Makes an edit, whatever held before.
    pub fn apply(&mut self, edit: &Edit) {
        if let Some(key) = edit.key() {
            self.remove(key);
        }
        if let Some(fact) = &edit.after {
            self.set(fact.clone());
        }
    }

    /// The person that a face is of, where somebody said so and the person has a record.
    pub fn person_of(&self, face: FaceId) -> Option<GroupId> {
        self.confirmed.get(&face).copied().filter(|person| self.persons.contains_key(person))
    }

    /// Says of other faces what is said of these, which are no more. Where something is said of the other face already,
    /// that holds.
    pub fn rename(&mut self, pairs: &[(FaceId, FaceId)]) {
        let new: BTreeMap<FaceId, FaceId> = pairs.iter().copied().collect();
        for (old, new) in pairs {
            if let Some(person) = self.confirmed.remove(old) {
                self.confirmed.entry(*new).or_insert(person);
            }
            if let Some(is_face) = self.are_faces.remove(old) {
                self.are_faces.entry(*new).or_insert(is_face);
            }
            if let Some(place) = self.places.remove(old) {
                self.places.entry(*new).or_insert(place);
            }
        }
        let face = |face: FaceId| new.get(&face).copied().unwrap_or(face);
        for set in [&mut self.not_persons, &mut self.skipped] {
            *set = std::mem::take(set).into_iter().map(|(of, person)| (face(of), person)).collect();
        }
        let pairs = std::mem::take(&mut self.not_same).into_iter().map(|(a, b)| (face(a), face(b)));
        self.not_same = pairs.filter(|(a, b)| a != b).map(|(a, b)| (a.min(b), a.max(b))).collect();
        // Whose a face is was said after whose it is not.
        let confirmed = &self.confirmed;
        self.not_persons.retain(|(of, person)| confirmed.get(of) != Some(person));
        for person in self.persons.values_mut() {
            person.cover = person.cover.map(face);
        }
    }

    /// All of them, ascending by kind and ids.
    pub fn iter(&self) -> impl Iterator<Item = Fact> + '_ {
        let persons = self.persons.iter().map(|(id, person)| Fact::Person { id: *id, person: person.clone() });
        let confirmed = self.confirmed.iter().map(|(face, person)| Fact::Confirmed { face: *face, person: *person });
        let not_persons =
            self.not_persons.iter().map(|(face, person)| Fact::NotPerson { face: *face, person: *person });
        let not_same = self.not_same.iter().map(|(a, b)| Fact::NotSame { a: *a, b: *b });
        let persons_apart = self.persons_apart.iter().map(|(a, b)| Fact::PersonsApart { a: *a, b: *b });
        let are_faces = self.are_faces.iter().map(|(face, is_face)| Fact::IsFace { face: *face, is_face: *is_face });
        let skipped = self.skipped.iter().map(|(face, person)| Fact::Skipped { face: *face, person: *person });
        let became = self.became.iter().map(|(from, into)| Fact::Became { from: *from, into: *into });
        let places = self.places.iter().map(|(face, place)| Fact::Place { face: *face, place: *place });
        let said = persons.chain(confirmed).chain(not_persons).chain(not_same);
        said.chain(persons_apart).chain(are_faces).chain(skipped).chain(became).chain(places)
    }

    /// What leads from these facts to others, ascending by key.
    pub fn edits_to(&self, after: &Self) -> Vec<Edit> {
        let keys: BTreeSet<FactKey> = self.iter().chain(after.iter()).map(|fact| fact.key()).collect();
        let edit = |key| Edit { before: self.get(key), after: after.get(key) };
        keys.into_iter().map(edit).filter(|edit| edit.before != edit.after).collect()
    }
}

impl FromIterator<Fact> for Facts {
    fn from_iter<I: IntoIterator<Item = Fact>>(facts: I) -> Self {
        let mut all = Self::default();
        facts.into_iter().for_each(|fact| all.set(fact));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_lead_from_one_state_to_another_and_back() {
        let (f, g) = (|n: u8| FaceId([n; 16]), |n: u8| GroupId([n; 16]));
        let person = |name: &str| Person { name: Some(name.into()), ..Person::default() };
        let one: Facts = [
            Fact::Person { id: g(1), person: person("Ada") },
            Fact::Confirmed { face: f(1), person: g(1) },
            Fact::not_same(f(1), f(2)),
            Fact::IsFace { face: f(3), is_face: true },
        ]
        .into_iter()
        .collect();
        let other: Facts = [
            Fact::Person { id: g(1), person: person("Eva") },
            Fact::Confirmed { face: f(1), person: g(2) },
            Fact::NotPerson { face: f(1), person: g(1) },
            Fact::persons_apart(g(2), g(1)),
            Fact::Became { from: g(3), into: g(1) },
            Fact::Place { face: f(1), place: FacePlace::default() },
            Fact::IsFace { face: f(3), is_face: true },
        ]
        .into_iter()
        .collect();
        for (from, to) in [(&one, &other), (&other, &one), (&one, &one), (&Facts::default(), &one)] {
            let mut facts = from.clone();
            for edit in from.edits_to(to) {
                assert_ne!(edit.before, edit.after);
                facts.apply(&edit);
            }
            assert_eq!(facts, *to);
        }
        assert_eq!(one.iter().collect::<Facts>(), one);
        assert_eq!((one.person_of(f(1)), other.person_of(f(1))), (Some(g(1)), None));
    }
}
