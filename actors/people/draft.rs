//! A scene that is being corrected.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::face::FaceId;
use crate::domain::fact::{Fact, FactKey};
use crate::domain::facts::Facts;
use crate::domain::gallery::GroupId;
use crate::domain::image::digest;
use crate::domain::person::Person;
use crate::people::{Author, Change, CorrectionError, Moved, Scene};

/// A scene with what was changed in it so far.
pub(super) struct Draft<'a> {
    pub(super) scene: &'a Scene,
    author: &'a Author,
    pub(super) facts: Facts,
    homes: BTreeMap<FaceId, GroupId>,
    merged: BTreeMap<GroupId, GroupId>,
}

impl<'a> Draft<'a> {
    pub(super) fn new(scene: &'a Scene, author: &'a Author) -> Self {
        let homes = scene.groups.iter().flat_map(|(id, group)| group.faces.iter().map(|face| (*face, *id))).collect();
        Self { scene, author, facts: scene.facts.clone(), homes, merged: BTreeMap::new() }
    }

    /// The group that an id leads to; it has a face.
    pub(super) fn group(&self, id: GroupId) -> Result<GroupId, CorrectionError> {
        let live = self.scene.live(id);
        let has_faces = self.homes.values().any(|home| *home == live);
        if has_faces { Ok(live) } else { Err(CorrectionError::NoGroup(id)) }
    }

    /// A face that there is.
    pub(super) fn face(&self, face: FaceId) -> Result<FaceId, CorrectionError> {
        if self.scene.places.contains_key(&face) { Ok(face) } else { Err(CorrectionError::NoFace(face)) }
    }

    /// The group that a face is in now.
    pub(super) fn home(&self, face: FaceId) -> Option<GroupId> {
        self.homes.get(&face).copied()
    }

    /// The faces that are in a group now.
    pub(super) fn faces_of(&self, id: GroupId) -> BTreeSet<FaceId> {
        self.homes.iter().filter(|(_, home)| **home == id).map(|(face, _)| *face).collect()
    }

    /// The face that shows a group: the one that was chosen, else the best.
    pub(super) fn cover_of(&self, id: GroupId) -> Option<FaceId> {
        let chosen = self.facts.persons.get(&id).and_then(|person| person.cover);
        let is_there = |face: &FaceId| self.home(*face) == Some(id);
        let best = || self.scene.groups.get(&id).and_then(|group| group.cover).filter(is_there);
        chosen.filter(is_there).or_else(best).or_else(|| self.faces_of(id).first().copied())
    }

    /// The record of a group as a person. Where there is none, the group becomes one: whoever says something of a
    /// group has its faces before their eyes, so all that are in it now are confirmed.
    pub(super) fn person(&mut self, id: GroupId) -> &mut Person {
        if !self.facts.persons.contains_key(&id) {
            self.make(id);
            for face in self.faces_of(id) {
                if self.facts.person_of(face).is_none() {
                    self.confirm(face, id);
                }
            }
        }
        self.facts.persons.entry(id).or_default()
    }

    /// Makes a record of a group as a person where there is none, and confirms nothing.
    pub(super) fn record(&mut self, id: GroupId) {
        if !self.facts.persons.contains_key(&id) {
            self.make(id);
        }
    }

    /// A new person without faces; its id is made of a face and the time.
    pub(super) fn newcomer(&mut self, face: FaceId) -> GroupId {
        let id = GroupId(digest("person", &[&face.0, &self.author.at_ms.to_le_bytes()]));
        self.make(id);
        id
    }

    fn make(&mut self, id: GroupId) {
        let Author { by, at_ms } = self.author.clone();
        self.facts.persons.insert(id, Person { made_ms: at_ms, made_by: by, ..Person::default() });
    }

    /// The face is of this person, whatever was said before; so it is a face.
    pub(super) fn confirm(&mut self, face: FaceId, person: GroupId) {
        self.leave(face);
        self.facts.confirmed.insert(face, person);
        self.facts.not_persons.remove(&(face, person));
        self.homes.insert(face, person);
        let is_face = self.facts.are_faces.get(&face).copied();
        if is_face == Some(false) || is_face.is_none() && self.scene.doubted.contains(&face) {
            self.facts.are_faces.insert(face, true);
        }
    }

    /// The face is in no group, and nobody's.
    pub(super) fn leave(&mut self, face: FaceId) {
        self.facts.confirmed.remove(&face);
        if let Some(person) = self.homes.remove(&face).and_then(|home| self.facts.persons.get_mut(&home)) {
            // What shows a person must be there.
            person.cover = person.cover.filter(|cover| *cover != face);
        }
    }

    /// All of `gone` is `kept` from now on: faces, what was said, and the id.
    pub(super) fn absorb(&mut self, kept: GroupId, gone: GroupId) {
        let cover = self.cover_of(kept);
        for face in self.faces_of(gone) {
            self.confirm(face, kept);
        }
        // Also faces that are not there at the moment.
        for person in self.facts.confirmed.values_mut().filter(|person| **person == gone) {
            *person = kept;
        }
        let old = self.facts.persons.remove(&gone).unwrap_or_default();
        let person = self.person(kept);
        person.cover = cover;
        person.name = person.name.take().or(old.name);
        person.born = person.born.or(old.born);
        person.notes = person.notes.take().or(old.notes);
        let not: Vec<FaceId> =
            self.facts.not_persons.iter().filter(|(_, of)| *of == gone).map(|(face, _)| *face).collect();
        for face in not {
            self.facts.not_persons.remove(&(face, gone));
            if self.home(face) != Some(kept) {
                self.facts.not_persons.insert((face, kept));
            }
        }
        let apart: Vec<(GroupId, GroupId)> =
            self.facts.persons_apart.iter().copied().filter(|(a, b)| *a == gone || *b == gone).collect();
        for (a, b) in apart {
            self.facts.persons_apart.remove(&(a, b));
            let other = if a == gone { b } else { a };
            if other != kept {
                self.facts.set(Fact::persons_apart(kept, other));
            }
        }
        for into in self.facts.became.values_mut().filter(|into| **into == gone) {
            *into = kept;
        }
        self.facts.became.insert(gone, kept);
        self.merged.insert(gone, kept);
    }

    /// A group that is not a person went into another as a whole.
    pub(super) fn redirect(&mut self, gone: GroupId, kept: GroupId) {
        self.merged.insert(gone, kept);
    }

    /// Two faces that were confirmed as one person are not two people, whatever was said before; of two that are not,
    /// the one that was only computed into the group leaves it.
    pub(super) fn reconcile_pairs(&mut self, id: GroupId) {
        let homes = &self.homes;
        let is_in = |face: &FaceId| homes.get(face) == Some(&id);
        let pairs: Vec<(FaceId, FaceId)> =
            self.facts.not_same.iter().copied().filter(|(a, b)| is_in(a) && is_in(b)).collect();
        for (a, b) in pairs {
            let is_confirmed = |face: FaceId| self.facts.person_of(face) == Some(id);
            match (is_confirmed(a), is_confirmed(b)) {
                (true, true) => drop(self.facts.not_same.remove(&(a, b))),
                (true, false) => self.leave(b),
                (false, _) => self.leave(a),
            }
        }
    }

    /// Puts faces where the facts say that they belong.
    pub(super) fn follow_facts(&mut self) {
        let confirmed: Vec<(FaceId, GroupId)> = self
            .homes
            .keys()
            .chain(self.scene.places.keys())
            .filter_map(|face| Some((*face, self.facts.person_of(*face)?)))
            .collect();
        self.homes.extend(confirmed);
    }

    /// Puts a face into a group, or takes it out of all, whatever was said.
    pub(super) fn put(&mut self, face: FaceId, home: Option<GroupId>) {
        match home {
            Some(home) => drop(self.homes.insert(face, home)),
            None => drop(self.homes.remove(&face)),
        }
    }

    /// What was changed.
    pub(super) fn finish(mut self, said: &str) -> Change {
        let mentioned: BTreeSet<FaceId> = self
            .scene
            .facts
            .edits_to(&self.facts)
            .iter()
            .filter_map(|edit| edit.after.as_ref())
            .flat_map(Fact::faces)
            .filter(|face| self.facts.get(FactKey::Place(*face)).is_none())
            .collect();
        for face in mentioned {
            if let Some(place) = self.scene.places.get(&face) {
                self.facts.places.insert(face, *place);
            }
        }
        let edits = self.scene.facts.edits_to(&self.facts);
        let faces: BTreeSet<FaceId> = self.scene.places.keys().chain(self.homes.keys()).copied().collect();
        let before: BTreeMap<FaceId, GroupId> =
            self.scene.groups.iter().flat_map(|(id, group)| group.faces.iter().map(|face| (*face, *id))).collect();
        let moved = |face: FaceId| Moved { face, from: before.get(&face).copied(), to: self.homes.get(&face).copied() };
        let moved = faces.into_iter().map(moved).filter(|moved| moved.from != moved.to).collect();
        Change { said: said.to_owned(), author: self.author.clone(), edits, moved, merged: self.merged, undoes: None }
    }
}
