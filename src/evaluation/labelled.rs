//! Faces with labels that say, at least for some, which person they show.

use std::collections::BTreeMap;

use muster_actors::domain::capture::Capture;
use muster_actors::domain::face::FaceId;
use muster_actors::domain::gallery::{FaceVector, GallerySnapshot, Partition};

use crate::Groups;

/// Faces, each with its person where that is known.
#[derive(Clone, Debug, Default)]
pub struct LabelledFaces {
    faces: Vec<FaceVector>,
    people: Vec<Option<u32>>,
}

impl LabelledFaces {
    /// Takes each face with the number of its person; `None` is an unknown person, whose faces are
    /// grouped but not scored. Orders the faces by id, as a snapshot of a gallery does.
    pub fn new(mut labelled: Vec<(FaceVector, Option<u32>)>) -> Self {
        labelled.sort_by_key(|(face, _)| face.id);
        let (faces, people) = labelled.into_iter().unzip();
        Self { faces, people }
    }

    /// Returns the faces, ascending by id.
    pub fn faces(&self) -> &[FaceVector] {
        &self.faces
    }

    /// Returns the person of each face in [`Self::faces`], where that is known.
    pub fn people(&self) -> &[Option<u32>] {
        &self.people
    }

    /// Returns the faces as grouping reads them, without any facts that people stated.
    pub fn snapshot(&self) -> GallerySnapshot {
        GallerySnapshot { faces: self.faces.clone(), ..GallerySnapshot::default() }
    }

    /// Returns the same faces without the times, series and hashes of their photos; `None` where
    /// there are none anyway.
    pub fn without_captures(&self) -> Option<Self> {
        let is_known = self.faces.iter().any(|face| face.capture != Capture::default());
        is_known.then(|| {
            let bare = |face: &FaceVector| FaceVector { capture: Capture::default(), ..face.clone() };
            Self { faces: self.faces.iter().map(bare).collect(), people: self.people.clone() }
        })
    }

    /// Returns the groups of a partition as positions of these faces. Other faces are left out.
    pub fn groups(&self, partition: &Partition) -> Groups {
        let at: BTreeMap<FaceId, usize> = self.faces.iter().enumerate().map(|(at, face)| (face.id, at)).collect();
        let groups = partition.groups.iter();
        groups.map(|group| group.faces.iter().filter_map(|id| at.get(id).copied()).collect()).collect()
    }
}

#[cfg(test)]
mod tests {
    use muster_actors::domain::gallery::{Group, GroupId};

    use super::*;
    use crate::vectors::{numbered_face, numbered_image};

    #[test]
    fn faces_are_in_the_order_of_their_ids_and_groups_name_their_positions() {
        let face = |n| FaceVector {
            id: numbered_face(n),
            image: numbered_image(n),
            embedding: vec![1.0],
            quality: 1.0,
            capture: Default::default(),
            place: None,
        };
        let labelled = LabelledFaces::new(vec![(face(7), Some(1)), (face(3), None), (face(5), Some(0))]);
        assert_eq!(labelled.people(), [None, Some(0), Some(1)]);
        assert_eq!(labelled.snapshot().faces, [face(3), face(5), face(7)]);
        let faces = vec![numbered_face(3), numbered_face(4), numbered_face(7)];
        let group = Group { id: GroupId([0; 16]), cover: faces[0], faces, centroid: vec![1.0], name: None };
        assert_eq!(labelled.groups(&Partition { groups: vec![group], ..Partition::default() }), [[0, 2]]);
    }
}
