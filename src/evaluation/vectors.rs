//! Reads labelled faces from files: vectors in NumPy's format, and a table of labels.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use muster_actors::domain::capture::{Capture, Taken};
use muster_actors::domain::face::FaceId;
use muster_actors::domain::gallery::FaceVector;
use muster_actors::domain::image::ImageId;

use crate::LabelledFaces;
use crate::labels;
pub use crate::labels::LabelsError;
use crate::npy;
pub use crate::npy::NpyError;

/// Largest difference between the length of a vector and 1.
const LENGTH_TOLERANCE: f32 = 0.01;

/// The reason why files contain no labelled faces.
#[derive(Debug, thiserror::Error)]
pub enum VectorsError {
    /// A file cannot be opened.
    #[error("{} cannot be opened: {source}", path.display())]
    Open {
        /// Path of the file.
        path: PathBuf,
        /// Error of the system.
        source: std::io::Error,
    },
    /// The array cannot be read.
    #[error("{}: {source}", path.display())]
    Npy {
        /// Path of the file.
        path: PathBuf,
        /// Reason why the vectors cannot be read.
        source: NpyError,
    },
    /// The labels cannot be read.
    #[error("{}: {source}", path.display())]
    Labels {
        /// Path of the file.
        path: PathBuf,
        /// Reason why the labels cannot be read.
        source: LabelsError,
    },
    /// A vector does not have length 1, or is not finite.
    #[error("{}: row {row} has length {length}, not 1: divide each row by its length", path.display())]
    Length {
        /// Path of the file.
        path: PathBuf,
        /// The row, counted from 0.
        row: usize,
        /// The length of its vector.
        length: f32,
    },
}

/// Reads vectors and labels. `vectors` is a float32 array (`.npy`) of n x d numbers, with a row of
/// length 1 for each face. `labels` is a CSV file with a line for each row; its columns are `photo`
/// and `person`, and optionally `overall` (quality, 0 to 1; 1 where it is missing) and `taken`
/// (seconds since 1970). An empty person or -1 is unknown. The ids of faces and images are the
/// numbers of rows and photos.
///
/// # Errors
/// [`VectorsError`]: a file cannot be opened, is not in its format, or has a vector whose length is
/// not 1.
pub fn read(vectors: &Path, labels: &Path) -> Result<LabelledFaces, VectorsError> {
    let open = |path: &Path| File::open(path).map_err(|source| VectorsError::Open { path: path.to_owned(), source });
    let array = npy::read(open(vectors)?).map_err(|source| VectorsError::Npy { path: vectors.to_owned(), source })?;
    let table = labels::read(BufReader::new(open(labels)?), array.rows)
        .map_err(|source| VectorsError::Labels { path: labels.to_owned(), source })?;
    let mut faces = Vec::with_capacity(array.rows);
    for ((row, vector), label) in array.data.chunks_exact(array.columns).enumerate().zip(table) {
        let length = vector.iter().map(|v| v * v).sum::<f32>().sqrt();
        if length.is_nan() || (1.0 - length).abs() > LENGTH_TOLERANCE {
            return Err(VectorsError::Length { path: vectors.to_owned(), row, length });
        }
        let face = FaceVector {
            id: numbered_face(row),
            image: numbered_image(label.photo as usize),
            embedding: vector.iter().map(|v| v / length).collect(),
            quality: label.quality,
            capture: Capture { taken: label.taken.map(at_place), ..Capture::default() },
            place: None,
        };
        faces.push((face, label.person));
    }
    Ok(LabelledFaces::new(faces))
}

/// Converts a time without a time zone.
pub(crate) fn at_place(local_ms: i64) -> Taken {
    Taken { local_ms, offset_minutes: None }
}

/// Returns the id of the face with this number; ids ascend with numbers.
pub(crate) fn numbered_face(number: usize) -> FaceId {
    FaceId((number as u128).to_be_bytes())
}

/// Returns the id of the image with this number; ids ascend with numbers.
pub(crate) fn numbered_image(number: usize) -> ImageId {
    ImageId((number as u128).to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::npy::tests::{bytes, file};

    fn written(shape: &str, numbers: &[f32], labels: &str) -> Result<LabelledFaces, VectorsError> {
        let folder = tempfile::tempdir().unwrap();
        let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}");
        let (vectors, table) = (folder.path().join("v.npy"), folder.path().join("v.csv"));
        std::fs::write(&vectors, file(1, &header, &bytes(numbers))).unwrap();
        std::fs::write(&table, labels).unwrap();
        read(&vectors, &table)
    }

    #[test]
    fn faces_have_the_numbers_of_rows_and_photos() {
        let read = written("(3, 2)", &[1.0, 0.0, 0.6, 0.8, 0.0, 1.0], "photo,person,overall\n5,a,1\n5,,0.5\n6,a,1\n");
        let labelled = read.unwrap();
        assert_eq!(labelled.people(), [Some(0), None, Some(0)]);
        let faces = labelled.faces();
        assert_eq!(faces.iter().map(|face| face.id).collect::<Vec<_>>(), [0, 1, 2].map(numbered_face));
        assert_eq!(faces.iter().map(|face| face.image).collect::<Vec<_>>(), [0, 0, 1].map(numbered_image));
        assert_eq!(faces[1].embedding, [0.6, 0.8]);
        assert_eq!(faces[1].quality, 0.5);
    }

    #[test]
    fn faults_name_the_file() {
        let labels = "photo,person\n1,1\n";
        for numbers in [[0.0, 0.0], [2.0, 0.0], [f32::NAN, 0.0], [f32::INFINITY, 0.0]] {
            let fault = written("(1, 2)", &numbers, labels).unwrap_err();
            assert!(matches!(fault, VectorsError::Length { row: 0, .. }), "{numbers:?}");
        }
        let fault = written("(1, 2)", &[1.0], labels).unwrap_err().to_string();
        assert!(fault.contains("v.npy: the file ends after 4 of 8 bytes"), "{fault}");
        let fault = written("(1, 2)", &[1.0, 0.0], "photo,person\n").unwrap_err().to_string();
        assert!(fault.contains("v.csv: there are 1 vectors and 0 labels"), "{fault}");
        let fault = read("nowhere.npy".as_ref(), "nowhere.csv".as_ref()).unwrap_err().to_string();
        assert!(fault.starts_with("nowhere.npy cannot be opened"), "{fault}");
    }
}
