//! Exact nearest neighbours over unit vectors.

use crate::errors::Class;
use crate::errors::class::Classified;

/// One neighbour of a query: its position in insertion order, and its cosine similarity.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Neighbour {
    /// Position of the vector, counted from 0 in the order of [`Index::add`].
    pub position: usize,
    /// Cosine similarity, -1 to 1.
    pub similarity: f32,
}

/// Errors of an index.
#[derive(Debug, Clone, thiserror::Error)]
pub enum IndexError {
    /// A vector has the wrong length.
    #[error("vectors have {expected} dimensions here, not {got}")]
    Dimensions {
        /// Length of the index's vectors.
        expected: usize,
        /// Length of the given vector.
        got: usize,
    },
    /// The library failed.
    #[error("index: {0}")]
    Failed(String),
}

impl Classified for IndexError {
    fn class(&self) -> Class {
        Class::Bug
    }
}

/// Finds exact k-nearest neighbours by the inner product of unit vectors. Its calls block the calling thread.
pub trait Index: Send {
    /// Number of vectors.
    fn len(&self) -> usize;
    /// Whether it is empty.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Returns the bytes of memory that the index keeps.
    fn bytes(&self) -> usize;
    /// Appends vectors (n x dimensions, row-major).
    ///
    /// # Errors
    /// [`IndexError::Dimensions`] when the length is not a multiple of the dimensions; [`IndexError::Failed`] when the
    /// library fails.
    fn add(&mut self, vectors: &[f32]) -> Result<(), IndexError>;
    /// Finds the `k` nearest vectors of each query (n x dimensions, row-major), by descending similarity; equal
    /// similarities are in the order of positions.
    ///
    /// # Errors
    /// [`IndexError::Dimensions`] when the length is not a multiple of the dimensions; [`IndexError::Failed`] when the
    /// library fails.
    fn search(&self, queries: &[f32], k: usize) -> Result<Vec<Vec<Neighbour>>, IndexError>;
    /// Finds all vectors with at least this `similarity` (-1 to 1) to each query, in the order of [`Index::search`].
    /// `rows` is the number of queries. The default implementation searches for more and more neighbours until it has
    /// seen enough; an index with a range search has a better one.
    ///
    /// # Errors
    /// As [`Index::search`].
    fn range(&self, queries: &[f32], rows: usize, similarity: f32) -> Result<Vec<Vec<Neighbour>>, IndexError> {
        let mut k = 64.min(self.len());
        loop {
            let mut found = self.search(queries, k)?;
            let cut = k < self.len() && found.iter().any(|row| row.last().is_some_and(|n| n.similarity >= similarity));
            if !cut {
                found.resize(rows, Vec::new());
                found.iter_mut().for_each(|row| row.retain(|n| n.similarity >= similarity));
                return Ok(found);
            }
            k = (k * 4).min(self.len());
        }
    }
}

/// Creates empty indexes. The Grouper rebuilds an index when faces were removed.
pub trait IndexFactory: Send + Sync {
    /// Creates an empty index over vectors with this number of `dimensions`.
    ///
    /// # Errors
    /// [`IndexError::Failed`] when the library cannot create it.
    fn create(&self, dimensions: usize) -> Result<Box<dyn Index>, IndexError>;
}
