//! One-to-many identification of a face among the groups of a gallery, in the terms of NIST's FRTE 1:N: a probe is
//! searched among the enrolled faces, and gets a list of candidates, nearest first.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::domain::face::FaceId;
use crate::domain::gallery::{GallerySnapshot, GroupId};
use crate::ports::index::{Index, IndexError, IndexFactory, Neighbour};

/// Neighbours that the first search asks for. It asks for more when they are of too few groups.
const NEIGHBOURS: usize = 64;

/// A group that resembles a probe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// Id of the group.
    pub group: GroupId,
    /// Name of the group, if it has one.
    pub name: Option<String>,
    /// Cosine similarity of the group's nearest face, -1 to 1.
    pub similarity: f32,
    /// The nearest face of the group.
    pub face: FaceId,
}

/// The rule by which the best candidate is accepted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rule {
    /// Least similarity of the best candidate, -1 to 1.
    pub threshold: f32,
    /// Least difference between the similarities of the first two candidates.
    pub margin: f32,
}

/// The result for a probe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Identified {
    /// Candidates, nearest first.
    pub candidates: Vec<Candidate>,
    /// Difference between the similarities of the first two candidates; `None` where there are fewer.
    pub margin: Option<f32>,
    /// Whether the first candidate reaches the threshold.
    pub near: bool,
    /// Whether the first candidate is accepted: it reaches the threshold, and the margin to the second.
    pub certain: bool,
}

impl Rule {
    /// Judges candidates, which are sorted nearest first, and keeps at most `keep` of them.
    pub fn judge(&self, mut candidates: Vec<Candidate>, keep: usize) -> Identified {
        let margin = match &candidates[..] {
            [first, second, ..] => Some(first.similarity - second.similarity),
            _ => None,
        };
        let near = candidates.first().is_some_and(|first| first.similarity >= self.threshold);
        let certain = near && margin.is_none_or(|margin| margin >= self.margin);
        candidates.truncate(keep);
        Identified { candidates, margin, near, certain }
    }
}

/// The faces of a gallery's groups, which probes are searched among. Faces in no group are left out.
pub struct Enrolled {
    index: Box<dyn Index>,
    dimensions: usize,
    /// Face of each vector, and the place of its group in `groups`.
    owners: Vec<(FaceId, usize)>,
    groups: Vec<(GroupId, Option<String>)>,
}

impl Enrolled {
    /// Builds the index of a gallery. `dimensions` is the vector length of the embedder.
    ///
    /// # Errors
    /// [`IndexError`] when the index cannot be created or filled.
    pub fn new(snapshot: &GallerySnapshot, dimensions: usize, factory: &dyn IndexFactory) -> Result<Self, IndexError> {
        let groups = &snapshot.previous.groups;
        let home: HashMap<FaceId, usize> =
            groups.iter().enumerate().flat_map(|(n, group)| group.faces.iter().map(move |face| (*face, n))).collect();
        let mut index = factory.create(dimensions)?;
        let (mut owners, mut vectors) = (Vec::new(), Vec::new());
        for face in &snapshot.faces {
            // The vectors of another model cannot be compared.
            let of_ours = face.embedding.len() == dimensions;
            if let Some(group) = home.get(&face.id).filter(|_| of_ours) {
                owners.push((face.id, *group));
                vectors.extend_from_slice(&face.embedding);
            }
        }
        index.add(&vectors)?;
        let groups = groups.iter().map(|group| (group.id, group.name.clone())).collect();
        Ok(Self { index, dimensions, owners, groups })
    }

    /// Returns the number of vectors that are searched.
    pub fn len(&self) -> usize {
        self.owners.len()
    }

    /// Returns whether there is no vector to search.
    pub fn is_empty(&self) -> bool {
        self.owners.is_empty()
    }

    /// Finds the `people` groups nearest to each probe exactly; a group is as near as its nearest face. It blocks the
    /// calling thread.
    ///
    /// # Errors
    /// [`IndexError::Dimensions`] when a probe has another length than the vectors; [`IndexError::Failed`] when the
    /// index fails.
    pub fn search(&self, probes: &[&[f32]], people: usize) -> Result<Vec<Vec<Candidate>>, IndexError> {
        if let Some(odd) = probes.iter().find(|probe| probe.len() != self.dimensions) {
            return Err(IndexError::Dimensions { expected: self.dimensions, got: odd.len() });
        }
        let queries = probes.concat();
        let wanted = people.min(self.groups.len());
        let mut k = NEIGHBOURS.min(self.index.len());
        loop {
            let found = self.index.search(&queries, k)?;
            let rows: Vec<Vec<Candidate>> = found.iter().map(|row| self.candidates(row, people)).collect();
            // Many faces of one person may fill the list of neighbours.
            if k == self.index.len() || rows.iter().all(|row| row.len() >= wanted) {
                return Ok(rows);
            }
            k = (k * 4).min(self.index.len());
        }
    }

    fn candidates(&self, row: &[Neighbour], people: usize) -> Vec<Candidate> {
        let mut seen = Vec::new();
        let mut candidates = Vec::new();
        for neighbour in row {
            let Some((face, group)) = self.owners.get(neighbour.position) else { continue };
            if candidates.len() < people && !seen.contains(group) {
                seen.push(*group);
                let (id, name) = &self.groups[*group];
                let similarity = neighbour.similarity;
                candidates.push(Candidate { group: *id, name: name.clone(), similarity, face: *face });
            }
        }
        candidates
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::gallery::{FaceVector, Group, Partition};
    use crate::domain::image::ImageId;
    use crate::grouping::scan::ScanFactory;

    fn at(degrees: f32) -> Vec<f32> {
        vec![degrees.to_radians().cos(), degrees.to_radians().sin()]
    }

    fn id(n: u16) -> [u8; 16] {
        let mut id = [0; 16];
        id[..2].copy_from_slice(&n.to_be_bytes());
        id
    }

    /// Groups of faces at these angles; the last list is of faces in none.
    fn gallery(groups: &[&[f32]], alone: &[f32]) -> GallerySnapshot {
        let mut snapshot = GallerySnapshot::default();
        let mut next = 0;
        let mut face = |snapshot: &mut GallerySnapshot, degrees: f32| {
            next += 1;
            let face = FaceId(id(next));
            snapshot.faces.push(FaceVector {
                id: face,
                image: ImageId(id(next)),
                embedding: at(degrees),
                quality: 1.0,
                capture: Default::default(),
                place: None,
            });
            face
        };
        for (n, angles) in groups.iter().enumerate() {
            let faces: Vec<FaceId> = angles.iter().map(|degrees| face(&mut snapshot, *degrees)).collect();
            let (id, cover) = (GroupId(id(n as u16)), faces[0]);
            let name = Some(format!("person {n}"));
            snapshot.previous.groups.push(Group { id, faces, cover, centroid: at(angles[0]), name });
        }
        alone.iter().for_each(|degrees| {
            face(&mut snapshot, *degrees);
        });
        snapshot
    }

    #[test]
    fn the_nearest_people_are_found_however_many_faces_each_has() {
        // Two hundred faces of one person are all nearer than the first of another.
        let crowd: Vec<f32> = (0..200).map(|n| n as f32 / 100.0).collect();
        let snapshot = gallery(&[&crowd, &[20.0], &[40.0, 41.0]], &[0.5]);
        let enrolled = Enrolled::new(&snapshot, 2, &ScanFactory).unwrap();
        assert_eq!(enrolled.len(), 203);
        let (zero, forty) = (at(0.0), at(40.5));
        let found = enrolled.search(&[&zero, &forty], 2).unwrap();
        let names = |row: &Vec<Candidate>| row.iter().map(|c| c.name.clone().unwrap()).collect::<Vec<_>>();
        assert_eq!(found.iter().map(names).collect::<Vec<_>>(), [["person 0", "person 1"], ["person 2", "person 1"]]);
        assert!((found[0][1].similarity - 20.0_f32.to_radians().cos()).abs() < 1e-5);
        assert_eq!(enrolled.search(&[&zero], 9).unwrap()[0].len(), 3, "no more people than there are");
    }

    #[test]
    fn an_empty_gallery_and_other_models_know_nobody() {
        let enrolled = Enrolled::new(&gallery(&[], &[0.0]), 2, &ScanFactory).unwrap();
        assert!(enrolled.is_empty());
        assert_eq!(enrolled.search(&[&at(0.0)], 3).unwrap(), [vec![]]);
        let other = Enrolled::new(&gallery(&[&[0.0]], &[]), 3, &ScanFactory).unwrap();
        assert!(other.is_empty());
        assert!(matches!(other.search(&[&at(0.0)], 3), Err(IndexError::Dimensions { expected: 3, got: 2 })));
    }

    #[test]
    fn a_probe_must_be_near_to_one_and_nearer_than_to_others() {
        let rule = Rule { threshold: 0.5, margin: 0.1 };
        for (similarities, certain) in [
            (&[][..], false),
            (&[0.49], false),
            (&[0.5], true),
            (&[0.7, 0.59], true),
            (&[0.7, 0.65], false),
            (&[0.4, 0.1], false),
        ] {
            let candidate = |similarity: &f32| {
                let (group, face) = (GroupId(id(1)), FaceId(id(1)));
                Candidate { group, name: None, similarity: *similarity, face }
            };
            let judged = rule.judge(similarities.iter().map(candidate).collect(), 1);
            assert_eq!(judged.certain, certain, "{similarities:?}");
            assert_eq!(judged.candidates.len(), similarities.len().min(1));
        }
    }

    #[test]
    fn partitions_name_faces_that_may_be_gone() {
        let mut snapshot = gallery(&[&[0.0, 1.0]], &[]);
        snapshot.faces.remove(0);
        let Partition { groups, .. } = &snapshot.previous;
        assert_eq!(groups[0].faces.len(), 2);
        assert_eq!(Enrolled::new(&snapshot, 2, &ScanFactory).unwrap().len(), 1);
    }
}
