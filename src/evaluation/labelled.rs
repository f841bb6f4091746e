//! Faces whose people are known, at least of some.

use std::collections::BTreeMap;

use muster_actors::domain::face::FaceId;
use muster_actors::domain::gallery::FaceVector;

use crate::Groups;

/// Faces, and the person of each where it is known.
#[derive(Clone, Debug, Default)]
pub struct LabelledFaces {
    faces: Vec<FaceVector>,
    people: Vec<Option<u32>>,
}

impl LabelledFaces {
    /// Takes each face with the number of its person; none is a face of an unknown person, which takes part in grouping
    /// and is not scored. Orders the faces by id, as a snapshot of a gallery does.
    pub fn new(mut labelled: Vec<(FaceVector, Option<u32>)>) -> Self {
        labelled.sort_by_key(|(face, _)| face.id);
        let (faces, people) = labelled.into_iter().unzip();
        Self { faces, people }
    }

    /// The faces, ascending by id.
    pub fn faces(&self) -> &[FaceVector] {
        &self.faces
    }

    /// The person of each face of [`Self::faces`], where it is known.
    pub fn people(&self) -> &[Option<u32>] {
        &self.people
    }

    /// Turns groups of ids into groups of positions. Ids that are not among the faces are left out.
    pub fn positions(&self, groups: &[Vec<FaceId>]) -> Groups {
        let at: BTreeMap<FaceId, usize> = self.faces.iter().enumerate().map(|(at, face)| (face.id, at)).collect();
        groups.iter().map(|group| group.iter().filter_map(|id| at.get(id).copied()).collect()).collect()
    }
}
