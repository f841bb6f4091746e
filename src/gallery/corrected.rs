//! The result of a correction, as data and in words.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use muster_actors::domain::face::FaceId;
use muster_actors::domain::fact::Fact;
use muster_actors::domain::facts::Facts;
use muster_actors::domain::gallery::{GroupId, Lineage};
use muster_actors::domain::person::{BirthDate, Person};
use muster_actors::people::{Change, Moved, Scene};
use serde::Serialize;

use crate::text::{count, printable, short};

/// A group that got another name, or lost its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Renamed {
    /// Id of the group.
    pub group: GroupId,
    /// New name, if it has one.
    pub name: Option<String>,
}

/// The properties of a group or person that corrections can change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PersonState {
    /// Name of the person, where there is one.
    pub name: Option<String>,
    /// Number of faces.
    pub faces: u64,
    /// The face that somebody chose as the picture of the person.
    pub cover: Option<FaceId>,
    /// Whether the person is left out of lists.
    pub hidden: bool,
    /// The date of birth.
    pub born: Option<BirthDate>,
    /// Notes that somebody wrote.
    pub notes: Option<String>,
}

/// A group or person that a correction changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PersonChange {
    /// Id of the group.
    pub id: GroupId,
    /// State before; `null` where it is new.
    pub before: Option<PersonState>,
    /// State after; `null` where it ended.
    pub after: Option<PersonState>,
}

/// A correction that was made, and its results.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Corrected {
    /// Kind of the correction: `named`, `hidden`, `shown`, `described`, `merged`, `split`, `moved`, `confirmed`,
    /// `not-this-person`, `not-one-person`, `not-same`, `is-face`, `not-a-face`, `enrolled` or `undone`.
    pub said: String,
    /// Number of the change in the history, by which it is undone; `null` where nothing was noted.
    pub change: Option<u64>,
    /// Groups that appeared, merged, split or ended.
    pub events: Vec<Lineage>,
    /// All groups and persons that changed, ascending by id.
    pub people: Vec<PersonChange>,
    /// Groups that have another name.
    pub renamed: Vec<Renamed>,
    /// Faces that are in another group, or in none.
    pub moved: Vec<Moved>,
    /// Detections that count as faces now, and did not before.
    #[serde(skip)]
    pub faces_after_all: Vec<FaceId>,
    #[serde(skip)]
    lines: Vec<String>,
}

/// Writes one line for each result, or one that says that nothing changed.
impl fmt::Display for Corrected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.lines.is_empty() {
            return match self.change {
                Some(_) => writeln!(f, "Noted; no group changed by it."),
                None => writeln!(f, "It was so already: nothing changed."),
            };
        }
        self.lines.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

impl Corrected {
    /// Builds the result from the scene before a change. `number` is the change's number in the history, if it was
    /// noted.
    pub fn new(scene: &Scene, change: &Change, number: Option<u64>) -> Self {
        let before = states(&scene.facts.persons, homes(scene));
        let mut facts = scene.facts.clone();
        change.edits.iter().for_each(|edit| facts.apply(edit));
        let mut moved_homes = homes(scene);
        for moved in &change.moved {
            match moved.to {
                Some(to) => drop(moved_homes.insert(moved.face, to)),
                None => drop(moved_homes.remove(&moved.face)),
            }
        }
        let after = states(&facts.persons, moved_homes);
        let ids: BTreeSet<GroupId> = before.keys().chain(after.keys()).copied().collect();
        let person =
            |id: GroupId| PersonChange { id, before: before.get(&id).cloned(), after: after.get(&id).cloned() };
        let people: Vec<PersonChange> =
            ids.into_iter().map(person).filter(|person| person.before != person.after).collect();
        let events = events(&people, change);
        let renamed = people.iter().filter(|person| is_renamed(person));
        let renamed = renamed
            .map(|person| Renamed {
                group: person.id,
                name: person.after.as_ref().and_then(|after| after.name.clone()),
            })
            .collect();
        let mut lines = of_detections(change);
        lines.extend(events.iter().map(|event| event_line(event, &before, &after)));
        lines.extend(people.iter().flat_map(detail_lines));
        lines.extend(moves(&change.moved, &before, &after));
        let is_face = |facts: &Facts, face: FaceId| match facts.are_faces.get(&face) {
            Some(said) => *said,
            None => !scene.doubted.contains(&face),
        };
        let spoken = change.edits.iter().flat_map(|edit| edit.before.iter().chain(&edit.after)).flat_map(Fact::faces);
        let faces_after_all = spoken.filter(|face| !is_face(&scene.facts, *face) && is_face(&facts, *face)).collect();
        let (said, moved) = (change.said.clone(), change.moved.clone());
        Self { said, change: number, events, people, renamed, moved, faces_after_all, lines }
    }

    /// Adds the new groups of faces that the correction had left in no group.
    pub fn adopted(&mut self, adopted: &[Moved]) {
        for one in adopted {
            let known = self.moved.iter_mut().find(|moved| moved.face == one.face);
            match known {
                Some(moved) => moved.to = one.to,
                None => self.moved.push(*one),
            }
            if let Some(to) = one.to {
                self.lines.push(format!("Face {} belongs to {}.", short(one.face), short(to)));
            }
        }
        self.moved.retain(|moved| moved.from != moved.to);
    }

    /// Returns whether any group or person changed.
    pub fn changed(&self) -> bool {
        !self.lines.is_empty()
    }
}

fn homes(scene: &Scene) -> BTreeMap<FaceId, GroupId> {
    scene.groups.iter().flat_map(|(id, group)| group.faces.iter().map(|face| (*face, *id))).collect()
}

/// Returns the states of all groups and persons, including persons without faces.
fn states(persons: &BTreeMap<GroupId, Person>, homes: BTreeMap<FaceId, GroupId>) -> BTreeMap<GroupId, PersonState> {
    let mut states: BTreeMap<GroupId, PersonState> = BTreeMap::new();
    for home in homes.into_values() {
        states.entry(home).or_default().faces += 1;
    }
    for (id, person) in persons {
        let Person { name, cover, is_hidden, born, notes, .. } = person.clone();
        let faces = states.get(id).map_or(0, |state| state.faces);
        states.insert(*id, PersonState { name, faces, cover, hidden: is_hidden, born, notes });
    }
    states
}

fn is_renamed(person: &PersonChange) -> bool {
    let name = |state: &Option<PersonState>| state.as_ref().and_then(|state| state.name.clone());
    person.before.is_some() && person.after.is_some() && name(&person.before) != name(&person.after)
}

fn events(people: &[PersonChange], change: &Change) -> Vec<Lineage> {
    let has_faces = |state: &Option<PersonState>| state.as_ref().is_some_and(|state| state.faces > 0);
    let mut events = Vec::new();
    for person in people {
        let event = match (has_faces(&person.before), has_faces(&person.after)) {
            (false, true) => {
                let from: BTreeSet<Option<GroupId>> =
                    change.moved.iter().filter(|moved| moved.to == Some(person.id)).map(|moved| moved.from).collect();
                match Vec::from_iter(from)[..] {
                    [Some(from)] => Lineage::Split { from, part: person.id },
                    _ => Lineage::Born { group: person.id },
                }
            }
            (true, false) => match change.merged.get(&person.id) {
                Some(into) => Lineage::Merged { from: person.id, into: *into },
                None => Lineage::Died { group: person.id },
            },
            _ => continue,
        };
        events.push(event);
    }
    events
}

/// Describes how many detections became faces, or stopped being faces.
fn of_detections(change: &Change) -> Vec<String> {
    let spoken = |wanted: Option<bool>| {
        let is_wanted = |fact: &Option<Fact>| match (fact, wanted) {
            (Some(Fact::IsFace { is_face, .. }), Some(wanted)) => *is_face == wanted,
            _ => false,
        };
        let gone = |before: &Option<Fact>, after: &Option<Fact>| {
            wanted.is_none() && after.is_none() && matches!(before, Some(Fact::IsFace { .. }))
        };
        change.edits.iter().filter(|edit| is_wanted(&edit.after) || gone(&edit.before, &edit.after)).count() as u64
    };
    [
        (spoken(Some(true)), "counted as a face"),
        (spoken(Some(false)), "taken out as no face"),
        (spoken(None), "judged by the models again"),
    ]
    .into_iter()
    .filter(|(n, _)| *n > 0)
    .map(|(n, what)| format!("{} {what}.", count(n, "detection")))
    .collect()
}

type States = BTreeMap<GroupId, PersonState>;

fn event_line(event: &Lineage, before: &States, after: &States) -> String {
    match event {
        Lineage::Born { group } => format!("New group {}.", called(after, *group)),
        Lineage::Merged { from, into } => format!("{} went into {}.", called(before, *from), called(after, *into)),
        Lineage::Split { from, part } => format!("{} came out of {}.", called(after, *part), called(after, *from)),
        Lineage::Died { group } => format!("{} has no faces left.", called(before, *group)),
    }
}

fn called(states: &States, id: GroupId) -> String {
    match states.get(&id) {
        None => short(id),
        Some(state) => {
            let name = state.name.as_deref().map(|name| format!("{}, ", printable(name))).unwrap_or_default();
            format!("{} ({name}{})", short(id), count(state.faces, "face"))
        }
    }
}

fn detail_lines(person: &PersonChange) -> Vec<String> {
    let (nothing, id) = (PersonState::default(), short(person.id));
    let (before, after) = (person.before.as_ref().unwrap_or(&nothing), person.after.as_ref().unwrap_or(&nothing));
    let mut lines = Vec::new();
    let is_merged = person.before.is_some() && person.after.is_none();
    if before.name != after.name && !is_merged {
        lines.push(match (&after.name, &before.name) {
            (Some(name), _) => format!("{id} is called {}.", printable(name)),
            (None, Some(name)) => format!("{id} has no name any more; it was {}.", printable(name)),
            (None, None) => String::new(),
        });
    }
    if before.hidden != after.hidden && person.after.is_some() {
        lines.push(format!("{id} is {}.", if after.hidden { "hidden: lists leave it out" } else { "listed again" }));
    }
    if before.born != after.born && person.after.is_some() {
        lines.push(match after.born {
            Some(born) => format!("{id} was born {born}."),
            None => format!("{id} has no date of birth any more."),
        });
    }
    if before.notes != after.notes && person.after.is_some() {
        lines.push(format!("{id} has {}.", if after.notes.is_some() { "another note" } else { "no note any more" }));
    }
    if let Some(cover) = after.cover.filter(|cover| before.cover != Some(*cover)) {
        lines.push(format!("{id} is shown by face {}.", short(cover)));
    }
    lines
}

/// Describes the moves of faces that no event describes.
fn moves(moved: &[Moved], before: &States, after: &States) -> Vec<String> {
    let mut ways: BTreeMap<(Option<GroupId>, Option<GroupId>), Vec<FaceId>> = BTreeMap::new();
    moved.iter().for_each(|moved| ways.entry((moved.from, moved.to)).or_default().push(moved.face));
    let line = |((from, to), faces): (&(Option<GroupId>, Option<GroupId>), &Vec<FaceId>)| {
        let what = match faces[..] {
            [one] => format!("Face {}", short(one)),
            _ => count(faces.len() as u64, "face"),
        };
        let from = from.map_or_else(|| "no group".to_owned(), |from| called(before, from));
        match to {
            Some(to) => format!("{what} went from {from} to {}.", called(after, *to)),
            None => format!("{what} left {from}, and {} in no group now.", if faces.len() == 1 { "is" } else { "are" }),
        }
    };
    ways.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_actors::domain::face_place::FacePlace;
    use muster_actors::people::scene::SceneGroup;
    use muster_actors::people::{Author, Correction, Member, plan};
    use serde_json::json;

    fn f(n: u8) -> FaceId {
        FaceId([n; 16])
    }

    fn g(n: u8) -> GroupId {
        GroupId([n; 16])
    }

    /// Ada (faces 1 to 3) and a group without a name (faces 4 and 5).
    fn scene() -> Scene {
        let group =
            |faces: &[u8]| SceneGroup { faces: faces.iter().map(|n| f(*n)).collect(), cover: Some(f(faces[0])) };
        let mut scene = Scene {
            groups: [(g(1), group(&[1, 2, 3])), (g(2), group(&[4, 5]))].into(),
            places: (1..7).map(|n| (f(n), FacePlace::default())).collect(),
            ..Scene::default()
        };
        scene.facts.set(Fact::Person { id: g(1), person: Person { name: Some("Ada".into()), ..Person::default() } });
        scene
    }

    fn told(correction: &Correction) -> Corrected {
        let (scene, author) = (scene(), Author { by: "me".into(), at_ms: 5 });
        Corrected::new(&scene, &plan(&scene, correction, &author).expect("it makes sense"), Some(3))
    }

    #[test]
    fn what_came_of_it_names_everybody_whom_it_changed() {
        let merged = told(&Correction::Merge(vec![Member::Group(g(2)), Member::Group(g(1))]));
        assert_eq!(
            merged.to_string(),
            "01010101 (Ada, 3 faces) went into 02020202 (Ada, 5 faces).\n02020202 is called Ada.\n\
             02020202 is shown by face 04040404.\n\
             3 faces went from 01010101 (Ada, 3 faces) to 02020202 (Ada, 5 faces).\n"
        );
        let shown = serde_json::to_value(&merged).expect("plain data");
        assert_eq!((&shown["change"], &shown["people"][0]["after"]), (&json!(3), &json!(null)));
        assert_eq!(shown["people"][1]["after"]["faces"], json!(5));
        assert_eq!(shown["moved"][0]["to"], json!("02".repeat(16)));
        let split = told(&Correction::Split { group: g(1), faces: [f(1)].into() });
        let Some(Lineage::Split { from, part }) = split.events.first() else { panic!("a split: {split:?}") };
        assert_eq!(*from, g(1));
        let part = short(*part);
        assert_eq!(
            split.to_string(),
            format!(
                "{part} (1 face) came out of 01010101 (Ada, 2 faces).\n\
                 Face 01010101 went from 01010101 (Ada, 3 faces) to {part} (1 face).\n"
            )
        );
        let left = told(&Correction::NotPerson { group: g(1), faces: [f(3)].into() });
        assert_eq!(left.to_string(), "Face 03030303 left 01010101 (Ada, 3 faces), and is in no group now.\n");
        let renamed = told(&Correction::name(g(1), "Eva"));
        assert_eq!((renamed.to_string().as_str(), renamed.renamed.len()), ("01010101 is called Eva.\n", 1));
    }

    #[test]
    fn what_becomes_of_detections_is_told_even_where_no_group_changes() {
        let said = |is_face| told(&Correction::Face { faces: [f(6)].into(), is_face }).to_string();
        assert_eq!(said(true), "1 detection counted as a face.\n");
        assert_eq!(said(false), "1 detection taken out as no face.\n");
    }

    #[test]
    fn what_changes_nothing_says_so() {
        let noted = told(&Correction::NotSame { a: f(1), b: f(4) });
        assert_eq!(noted.to_string(), "Noted; no group changed by it.\n");
        let (scene, change) = (scene(), Change::default());
        assert_eq!(Corrected::new(&scene, &change, None).to_string(), "It was so already: nothing changed.\n");
    }
}
