//! Exact nearest neighbours over unit vectors.

use crate::errors::Class;
use crate::errors::class::Classified;

/// One neighbour: its position in insertion order, and the cosine similarity.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Neighbour {
    /// Position of the vector, counted from 0 in the order of [`Index::add`].
    pub position: usize,
    /// Cosine similarity, -1 to 1.
    pub similarity: f32,
}

/// The index failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum IndexError {
    /// A vector has the wrong length.
    #[error("vectors have {expected} dimensions here, not {got}")]
    Dimensions {
        /// What the index holds.
        expected: usize,
        /// What was given.
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

/// Exact k-nearest neighbours by inner product of unit vectors. Blocking.
pub trait Index: Send {
    /// Number of vectors.
    fn len(&self) -> usize;
    /// Whether it is empty.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Bytes of memory that it holds.
    fn bytes(&self) -> usize;
    /// Appends vectors, flattened row-major.
    fn add(&mut self, vectors: &[f32]) -> Result<(), IndexError>;
    /// The `k` nearest of each query (flattened row-major), by descending similarity, ties by position.
    fn search(&self, queries: &[f32], k: usize) -> Result<Vec<Vec<Neighbour>>, IndexError>;
    /// All vectors at least `similarity` near to each query, in the order of [`Index::search`]. `rows` is the number
    /// of queries. This version widens a search until it has seen enough; an index with a range search has a better one.
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

/// Makes empty indexes of a dimension: the grouper rebuilds one when faces went away.
pub trait IndexFactory: Send + Sync {
    /// An empty index over vectors of `dimensions`.
    fn create(&self, dimensions: usize) -> Result<Box<dyn Index>, IndexError>;
}
