//! What releases up to 0.1 kept of what people said: a log of verdicts about faces. Stores turn it into facts once.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::face::FaceId;
use crate::domain::fact::Fact;
use crate::domain::facts::Facts;
use crate::domain::gallery::{GallerySnapshot, GroupId};
use crate::domain::person::Person;

/// What a person said of faces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// These two faces are one person.
    Same {
        /// One face.
        a: FaceId,
        /// The other face.
        b: FaceId,
    },
    /// These two faces are two people.
    NotSame {
        /// One face.
        a: FaceId,
        /// The other face.
        b: FaceId,
    },
    /// The group that holds this face is called so. An empty name takes the name away.
    Name {
        /// A face of the group: its cover when the name was given.
        face: FaceId,
        /// What the person is called.
        name: String,
    },
    /// This detection is a face, or is none.
    Face {
        /// The detection.
        face: FaceId,
        /// Whether it is a face.
        is_face: bool,
    },
}

/// One verdict in a gallery's log. Later ones win.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Position in the log, ascending.
    pub seq: u64,
    /// What was said.
    pub verdict: Verdict,
}

/// The facts that a log comes to over a gallery as it was grouped last.
///
/// - A group with a name becomes a person with all its faces.
/// - A name that a computation had covered (its face is in a group that goes by another name, and nobody said that the
///   two are one) becomes a person again, with the face that carried it.
/// - A name whose face is gone, and whose group is, stays as a person without faces: the photo may come back.
/// - Faces that were said to be one person become a person without a name, where their group has none.
/// - What was said to be two people, a face or no face stays so.
pub fn facts(log: &[Decision], gallery: &GallerySnapshot, at_ms: u64) -> Facts {
    let mut log: Vec<&Decision> = log.iter().collect();
    log.sort_by_key(|decision| decision.seq);
    let mut facts = Facts::default();
    let resolved = Resolved::of(&log);
    let places: BTreeMap<FaceId, _> =
        gallery.faces.iter().map(|face| (face.id, face.place.unwrap_or_default())).collect();
    let home: BTreeMap<FaceId, GroupId> = gallery
        .previous
        .groups
        .iter()
        .flat_map(|group| {
            group.faces.iter().filter(|face| places.contains_key(face)).map(move |face| (*face, group.id))
        })
        .collect();
    let person = |name: Option<&str>| Person {
        name: name.map(str::to_owned),
        made_ms: at_ms,
        made_by: "an earlier release".to_owned(),
        ..Person::default()
    };
    for decision in &log {
        if let Verdict::Face { face, is_face } = decision.verdict {
            facts.are_faces.insert(face, is_face);
        }
    }
    for (a, b) in &resolved.apart {
        facts.set(Fact::not_same(*a, *b));
    }
    let named = carriers(&log);
    for group in &gallery.previous.groups {
        let units: Vec<&BTreeSet<FaceId>> =
            resolved.units.iter().filter(|unit| unit.iter().any(|face| home.get(face) == Some(&group.id))).collect();
        if group.name.is_none() && units.is_empty() {
            continue;
        }
        facts.persons.insert(group.id, person(group.name.as_deref()));
        for face in group.faces.iter().filter(|face| places.contains_key(face)) {
            if group.name.is_some() || units.iter().any(|unit| unit.contains(face)) {
                facts.confirmed.insert(*face, group.id);
            }
        }
        // What was said of faces that are gone for now.
        for face in units.iter().flat_map(|unit| unit.iter()).filter(|face| !places.contains_key(face)) {
            facts.confirmed.entry(*face).or_insert(group.id);
        }
    }
    // Names in their order, so that the result is the same each time.
    for (face, name) in &named {
        let group = home.get(face).copied();
        let shown = group.and_then(|id| facts.persons.get(&id)).and_then(|person| person.name.as_deref());
        let carried_elsewhere = facts.persons.values().any(|person| person.name.as_deref() == Some(name.as_str()));
        if shown == Some(name) || carried_elsewhere {
            if !places.contains_key(face) && !facts.confirmed.contains_key(face) {
                let by_name = facts.persons.iter().find(|(_, person)| person.name.as_deref() == Some(name.as_str()));
                let id = by_name.map(|(id, _)| *id);
                facts.confirmed.extend(id.map(|id| (*face, id)));
            }
            continue;
        }
        // Somebody said that the two are one: the later name is theirs.
        let is_merged = |other: &FaceId| other != face && resolved.are_one(*face, *other);
        if group.is_some() && named.iter().any(|(other, called)| is_merged(other) && shown == Some(called)) {
            continue;
        }
        let id = GroupId(crate::domain::image::digest("person", &[&face.0, name.as_bytes()]));
        facts.persons.insert(id, person(Some(name)));
        let unit = resolved.units.iter().find(|unit| unit.contains(face));
        let faces = unit.cloned().unwrap_or_else(|| BTreeSet::from([*face]));
        for face in faces {
            facts.confirmed.insert(face, id);
        }
    }
    let mentioned: BTreeSet<FaceId> = facts.iter().flat_map(|fact| fact.faces().collect::<Vec<_>>()).collect();
    for face in mentioned {
        if let Some(place) = places.get(&face) {
            facts.places.insert(face, *place);
        }
    }
    facts
}

/// The faces that names were given to, with the last name of each; without those whose name was taken away.
fn carriers(log: &[&Decision]) -> Vec<(FaceId, String)> {
    let mut names: BTreeMap<FaceId, (u64, &str)> = BTreeMap::new();
    for decision in log {
        if let Verdict::Name { face, name } = &decision.verdict {
            names.insert(*face, (decision.seq, name));
        }
    }
    let mut named: Vec<_> = names.into_iter().filter(|(_, (_, name))| !name.is_empty()).collect();
    named.sort_by_key(|(_, (seq, _))| std::cmp::Reverse(*seq));
    named.into_iter().map(|(face, (_, name))| (face, name.to_owned())).collect()
}

/// The pairs of a log without those that later ones contradict.
struct Resolved {
    /// Faces that are one person, two or more each.
    units: Vec<BTreeSet<FaceId>>,
    /// Pairs that are two people.
    apart: BTreeSet<(FaceId, FaceId)>,
}

impl Resolved {
    /// Takes verdicts from the last to the first, and passes over one that contradicts what already holds.
    fn of(log: &[&Decision]) -> Self {
        let mut sets: Vec<BTreeSet<FaceId>> = Vec::new();
        let mut apart: BTreeSet<(FaceId, FaceId)> = BTreeSet::new();
        let mut seen = BTreeSet::new();
        for decision in log.iter().rev() {
            let (a, b, same) = match decision.verdict {
                Verdict::Same { a, b } => (a, b, true),
                Verdict::NotSame { a, b } => (a, b, false),
                Verdict::Name { .. } | Verdict::Face { .. } => continue,
            };
            if a == b || !seen.insert((a.min(b), a.max(b))) {
                continue;
            }
            let mut take = |face: FaceId| {
                let at = sets.iter().position(|set| set.contains(&face));
                at.map_or_else(|| BTreeSet::from([face]), |at| sets.swap_remove(at))
            };
            let mut one = take(a);
            if one.contains(&b) {
                sets.push(one);
                continue;
            }
            let other = take(b);
            let are_foes =
                apart.iter().any(|(x, y)| one.contains(x) && other.contains(y) || one.contains(y) && other.contains(x));
            if same && !are_foes {
                one.extend(other);
                sets.push(one);
            } else {
                if !same {
                    apart.insert((a.min(b), a.max(b)));
                }
                sets.extend([one, other]);
            }
        }
        sets.retain(|set| set.len() > 1);
        sets.sort();
        Self { units: sets, apart }
    }

    fn are_one(&self, a: FaceId, b: FaceId) -> bool {
        self.units.iter().any(|unit| unit.contains(&a) && unit.contains(&b))
    }
}
