//! An index that compares each query with every vector. It is exact and needs no library, which suits small galleries
//! and tests.

use crate::grouping::dot::dot;
use crate::grouping::heap_size;
use crate::ports::index::{Index, IndexError, IndexFactory, Neighbour};

/// An index that compares each query with every vector.
#[derive(Debug)]
pub(crate) struct ScanIndex {
    dimensions: usize,
    vectors: Vec<f32>,
}

impl ScanIndex {
    fn check(&self, vectors: &[f32]) -> Result<(), IndexError> {
        match vectors.len() % self.dimensions {
            0 => Ok(()),
            got => Err(IndexError::Dimensions { expected: self.dimensions, got }),
        }
    }
}

impl Index for ScanIndex {
    fn len(&self) -> usize {
        self.vectors.len() / self.dimensions
    }

    fn bytes(&self) -> usize {
        heap_size::vec(&self.vectors)
    }

    fn add(&mut self, vectors: &[f32]) -> Result<(), IndexError> {
        self.check(vectors)?;
        self.vectors.extend_from_slice(vectors);
        Ok(())
    }

    fn search(&self, queries: &[f32], k: usize) -> Result<Vec<Vec<Neighbour>>, IndexError> {
        self.check(queries)?;
        let rows = queries.chunks(self.dimensions).map(|query| {
            let mut row: Vec<_> = self
                .vectors
                .chunks(self.dimensions)
                .enumerate()
                .map(|(position, vector)| Neighbour { position, similarity: dot(query, vector) })
                .collect();
            row.sort_by(|a, b| b.similarity.total_cmp(&a.similarity).then(a.position.cmp(&b.position)));
            row.truncate(k);
            row
        });
        Ok(rows.collect())
    }
}

/// Creates [`ScanIndex`]es.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ScanFactory;

impl IndexFactory for ScanFactory {
    fn create(&self, dimensions: usize) -> Result<Box<dyn Index>, IndexError> {
        if dimensions == 0 {
            return Err(IndexError::Dimensions { expected: 1, got: 0 });
        }
        Ok(Box::new(ScanIndex { dimensions, vectors: Vec::new() }))
    }
}
