//! The similarities of all pairs of faces.

use muster_actors::domain::gallery::FaceVector;
use muster_actors::grouping::dot::dot;

/// Most faces that can be compared; all their similarities take 1.6 GB.
pub const MAX_FACES: usize = 20_000;
/// Rows and columns that are computed together, so that their vectors stay in the processor's
/// cache.
const BLOCK: usize = 64;

/// The reason why faces cannot be compared in pairs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CompareError {
    /// There are more than [`MAX_FACES`] faces.
    #[error(
        "{0} faces are too many to compare two by two: the limit is {MAX_FACES}, so judge muster alone or fewer faces"
    )]
    TooMany(usize),
    /// Vectors have two different lengths.
    #[error("the faces have vectors of {0} and of {1} dimensions: use one model for all")]
    Dimensions(usize, usize),
}

/// The cosine similarities of all pairs of n faces (n x n, row-major, in the order of the faces).
#[derive(Clone, Debug)]
pub struct Similarities {
    count: usize,
    values: Vec<f32>,
}

impl Similarities {
    /// Compares all faces. This needs n² x 4 bytes and n² x d / 2 products for n faces of d
    /// dimensions.
    ///
    /// # Errors
    /// [`CompareError::TooMany`] for more than [`MAX_FACES`] faces; [`CompareError::Dimensions`]
    /// for vectors of different lengths.
    pub fn of(faces: &[FaceVector]) -> Result<Self, CompareError> {
        let count = faces.len();
        if count > MAX_FACES {
            return Err(CompareError::TooMany(count));
        }
        let dimensions = faces.first().map_or(0, |face| face.embedding.len());
        if let Some(other) = faces.iter().map(|face| face.embedding.len()).find(|other| *other != dimensions) {
            return Err(CompareError::Dimensions(dimensions, other));
        }
        let mut values = vec![0.0; count * count];
        for rows in (0..count).step_by(BLOCK) {
            for columns in (rows..count).step_by(BLOCK) {
                for row in rows..(rows + BLOCK).min(count) {
                    for column in columns.max(row)..(columns + BLOCK).min(count) {
                        let similarity = dot(&faces[row].embedding, &faces[column].embedding);
                        values[row * count + column] = similarity;
                        values[column * count + row] = similarity;
                    }
                }
            }
        }
        Ok(Self { count, values })
    }

    /// Returns the number of faces.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Returns whether there are no faces.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Returns the similarities of one face to all faces, itself included.
    pub fn row(&self, face: usize) -> &[f32] {
        &self.values[face * self.count..][..self.count]
    }

    /// Returns the faces with at least this similarity to one face, itself included.
    pub(crate) fn near(&self, face: usize, similarity: f32) -> impl Iterator<Item = usize> + '_ {
        let row = self.row(face).iter().enumerate();
        row.filter(move |(other, value)| **value >= similarity || *other == face).map(|(other, _)| other)
    }

    /// Returns the similarities (n x n), for an algorithm that overwrites them.
    pub(crate) fn into_values(self) -> Vec<f32> {
        self.values
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vectors::{numbered_face, numbered_image};

    fn face(number: usize, embedding: Vec<f32>) -> FaceVector {
        FaceVector {
            id: numbered_face(number),
            image: numbered_image(number),
            embedding,
            quality: 1.0,
            capture: Default::default(),
            place: None,
        }
    }

    #[test]
    fn each_pair_has_its_cosine_on_either_side() {
        let angles: Vec<f32> = (0..150).map(|n| n as f32 * 0.03).collect();
        let faces: Vec<_> =
            angles.iter().enumerate().map(|(n, angle)| face(n, vec![angle.cos(), angle.sin()])).collect();
        let similarities = Similarities::of(&faces).unwrap();
        for (a, one) in angles.iter().enumerate() {
            for (b, other) in angles.iter().enumerate() {
                assert!((similarities.row(a)[b] - (one - other).cos()).abs() < 1e-5, "{a} {b}");
            }
        }
        assert_eq!(similarities.near(0, 0.03_f32.cos() - 1e-6).collect::<Vec<_>>(), [0, 1]);
        assert_eq!(similarities.near(0, 2.0).collect::<Vec<_>>(), [0]);
    }

    #[test]
    fn too_many_faces_and_two_models_are_refused() {
        let faces = vec![face(0, vec![]); MAX_FACES + 1];
        assert_eq!(Similarities::of(&faces).unwrap_err(), CompareError::TooMany(MAX_FACES + 1));
        let faces = [face(0, vec![1.0]), face(1, vec![1.0, 0.0])];
        assert_eq!(Similarities::of(&faces).unwrap_err(), CompareError::Dimensions(1, 2));
        assert!(Similarities::of(&[]).unwrap().is_empty());
    }
}
