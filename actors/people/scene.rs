//! The part of a gallery that a correction is about.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::face::FaceId;
use crate::domain::face_place::FacePlace;
use crate::domain::facts::Facts;
use crate::domain::gallery::{GallerySnapshot, GroupId};

/// What a correction names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Topic {
    /// Groups, also those that went into others.
    pub groups: BTreeSet<GroupId>,
    /// Faces.
    pub faces: BTreeSet<FaceId>,
}

/// A group as it was computed last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SceneGroup {
    /// Its faces that there are.
    pub faces: BTreeSet<FaceId>,
    /// The face that shows it best.
    pub cover: Option<FaceId>,
}

/// The part of a gallery that a [`Topic`] names. Stores read it without reading the rest of the gallery.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scene {
    /// The groups of the topic, and those that its faces are in. Each has all its faces.
    pub groups: BTreeMap<GroupId, SceneGroup>,
    /// All faces of the groups and of the topic that there are, with their places.
    pub places: BTreeMap<FaceId, FacePlace>,
    /// Faces that the models take for objects.
    pub doubted: BTreeSet<FaceId>,
    /// The facts about these faces and groups.
    pub facts: Facts,
    /// Where ids lead that went into others.
    pub redirects: BTreeMap<GroupId, GroupId>,
}

impl Scene {
    /// The scene of a topic in a whole gallery.
    pub fn of(gallery: &GallerySnapshot, topic: &Topic) -> Self {
        let previous = &gallery.previous;
        let there = |face: &FaceId| gallery.faces.binary_search_by_key(face, |known| known.id).ok();
        let redirects: BTreeMap<GroupId, GroupId> = previous.redirects.clone();
        let named: BTreeSet<GroupId> = topic
            .groups
            .iter()
            .map(|id| gallery.facts.became.get(id).or(redirects.get(id)).copied().unwrap_or(*id))
            .collect();
        let is_in =
            |id: GroupId, faces: &[FaceId]| named.contains(&id) || faces.iter().any(|face| topic.faces.contains(face));
        let groups: BTreeMap<GroupId, SceneGroup> = previous
            .groups
            .iter()
            .filter(|group| is_in(group.id, &group.faces))
            .map(|group| {
                let faces = group.faces.iter().copied().filter(|face| there(face).is_some()).collect();
                (group.id, SceneGroup { faces, cover: Some(group.cover) })
            })
            .collect();
        let all = groups.values().flat_map(|group| &group.faces).chain(&topic.faces);
        let places = all
            .filter_map(|face| there(face).map(|at| (*face, gallery.faces[at].place.unwrap_or_default())))
            .collect::<BTreeMap<_, _>>();
        let ids: BTreeSet<GroupId> = topic.groups.iter().chain(groups.keys()).copied().collect();
        let facts = gallery
            .facts
            .iter()
            .filter(|fact| {
                fact.faces().any(|face| places.contains_key(&face) || topic.faces.contains(&face))
                    || fact.persons().any(|person| ids.contains(&person))
            })
            .collect();
        let doubted = gallery.doubted.iter().copied().filter(|face| places.contains_key(face)).collect();
        Self { groups, places, doubted, facts, redirects }
    }

    /// Where a group's id leads.
    pub(super) fn live(&self, id: GroupId) -> GroupId {
        let became = self.facts.became.get(&id).or_else(|| self.redirects.get(&id));
        became.copied().unwrap_or(id)
    }
}
