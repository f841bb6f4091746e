//! A flat FAISS index: exact inner products, as one matrix product over many queries.
//!
//! All use of the `faiss` crate is in this file, because its safe functions are not memory-safe everywhere: slices
//! whose length is not a multiple of the dimensions are cut silently, and a range result without hits makes a slice
//! from a null pointer. This file checks for both. It does not use ids and clones of results, which are unsound too.

use std::ffi::c_int;
use std::sync::Once;

use faiss::{ConcurrentIndex as _, FlatIndex as Native, Index as _};
use muster_actors::ports::index::{Index, IndexError, IndexFactory, Neighbour};

use super::sweep;

/// Most dimensions of an index. No embedding has more, and FAISS stores the number in 32 bits.
const MAX_DIMENSIONS: usize = 65_536;

unsafe extern "C" {
    /// Sets the number of queries from which FAISS uses a matrix product (`utils/distances.h`; the default is 20).
    fn faiss_set_distance_compute_blas_threshold(value: c_int);
}

/// Makes FAISS use the matrix product for any number of queries, because it is faster than FAISS's own loop (16
/// queries: 24 ms instead of 140).
fn prefer_blas() {
    static ONCE: Once = Once::new();
    // SAFETY: sets one global int of FAISS, which is linked statically with the `faiss` crate; done once, before any
    // index of ours exists, so no search reads it meanwhile.
    ONCE.call_once(|| unsafe { faiss_set_distance_compute_blas_threshold(1) });
}

/// An index that finds exact neighbours by inner product.
pub struct FlatIndex {
    native: Native,
    dimensions: usize,
    len: usize,
    /// Number of vectors for which FAISS has allocated memory. Its `std::vector` doubles when it is full (libstdc++,
    /// `_M_check_len`).
    capacity: usize,
}

impl FlatIndex {
    /// Creates an empty index over vectors with 1 to 65,536 `dimensions`.
    ///
    /// # Errors
    /// [`IndexError::Dimensions`] for another number; [`IndexError::Failed`] when FAISS fails.
    pub fn new(dimensions: usize) -> Result<Self, IndexError> {
        if !(1..=MAX_DIMENSIONS).contains(&dimensions) {
            return Err(IndexError::Dimensions { expected: MAX_DIMENSIONS, got: dimensions });
        }
        prefer_blas();
        let native = Native::new_ip(dimensions as u32).map_err(failed)?;
        Ok(Self { native, dimensions, len: 0, capacity: 0 })
    }

    fn rows(&self, vectors: &[f32]) -> Result<usize, IndexError> {
        match vectors.len() % self.dimensions {
            0 => Ok(vectors.len() / self.dimensions),
            got => Err(IndexError::Dimensions { expected: self.dimensions, got }),
        }
    }
}

fn failed(error: impl std::fmt::Display) -> IndexError {
    IndexError::Failed(error.to_string())
}

fn ordered(mut row: Vec<Neighbour>) -> Vec<Neighbour> {
    row.sort_by(|a, b| b.similarity.total_cmp(&a.similarity).then(a.position.cmp(&b.position)));
    row
}

fn neighbour(label: faiss::Idx, similarity: f32) -> Option<Neighbour> {
    Some(Neighbour { position: usize::try_from(label.get()?).ok()?, similarity })
}

impl Index for FlatIndex {
    fn len(&self) -> usize {
        self.len
    }

    fn bytes(&self) -> usize {
        self.capacity * self.dimensions * size_of::<f32>()
    }

    fn add(&mut self, vectors: &[f32]) -> Result<(), IndexError> {
        let rows = self.rows(vectors)?;
        if rows > 0 {
            self.native.add(vectors).map_err(failed)?;
            if self.len + rows > self.capacity {
                self.capacity = self.len + rows.max(self.len);
            }
            self.len += rows;
        }
        Ok(())
    }

    fn search(&self, queries: &[f32], k: usize) -> Result<Vec<Vec<Neighbour>>, IndexError> {
        let (rows, k) = (self.rows(queries)?, k.min(self.len));
        if rows == 0 || k == 0 {
            return Ok(vec![Vec::new(); rows]);
        }
        let found = self.native.search(queries, k).map_err(failed)?;
        if found.labels.len() != rows * k || found.distances.len() != rows * k {
            return Err(IndexError::Failed(format!("{} answers to {rows} queries of {k}", found.labels.len())));
        }
        let rows = found.labels.chunks(k).zip(found.distances.chunks(k));
        Ok(rows.map(|(l, d)| ordered(l.iter().zip(d).filter_map(|(l, d)| neighbour(*l, *d)).collect())).collect())
    }

    fn range(&self, queries: &[f32], rows: usize, similarity: f32) -> Result<Vec<Vec<Neighbour>>, IndexError> {
        if self.rows(queries)? != rows {
            return Err(IndexError::Dimensions { expected: rows * self.dimensions, got: queries.len() });
        }
        if rows == 0 || self.len == 0 {
            return Ok(vec![Vec::new(); rows]);
        }
        if rows <= sweep::FEW {
            let vectors = self.native.xb();
            if vectors.len() != self.len * self.dimensions {
                return Err(IndexError::Failed(format!("FAISS holds {} numbers", vectors.len())));
            }
            let found = sweep::range(vectors, self.dimensions, queries, similarity);
            return Ok(found.into_iter().map(ordered).collect());
        }
        // FAISS returns what lies strictly above its radius.
        let found = self.native.range_search(queries, similarity.next_down()).map_err(failed)?;
        let limits = found.lims();
        if found.nq() != rows || limits.windows(2).any(|pair| pair[0] > pair[1]) {
            return Err(IndexError::Failed(format!("a range search of {rows} queries answered {}", found.nq())));
        }
        if limits[rows] == 0 {
            return Ok(vec![Vec::new(); rows]);
        }
        let (distances, labels) = found.distance_and_labels();
        let row = |pair: &[usize]| {
            let hits = labels[pair[0]..pair[1]].iter().zip(&distances[pair[0]..pair[1]]);
            ordered(hits.filter_map(|(label, distance)| neighbour(*label, *distance)).collect())
        };
        Ok(limits.windows(2).map(row).collect())
    }
}

/// Creates [`FlatIndex`]es.
#[derive(Clone, Copy, Debug, Default)]
pub struct FlatFactory;

impl IndexFactory for FlatFactory {
    fn create(&self, dimensions: usize) -> Result<Box<dyn Index>, IndexError> {
        Ok(Box::new(FlatIndex::new(dimensions)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled() -> FlatIndex {
        let mut index = FlatIndex::new(2).expect("an index");
        index.add(&[1.0, 0.0, 0.0, 1.0, 0.6, 0.8, 1.0, 0.0]).expect("four vectors");
        index
    }

    fn positions(rows: &[Vec<Neighbour>]) -> Vec<Vec<usize>> {
        rows.iter().map(|row| row.iter().map(|n| n.position).collect()).collect()
    }

    #[test]
    fn nearest_come_first_and_ties_by_position() {
        let index = filled();
        assert_eq!(positions(&index.search(&[1.0, 0.0], 3).expect("a search")), [[0, 3, 2]]);
        assert_eq!(positions(&index.search(&[1.0, 0.0, 0.0, 1.0], 9).expect("k is cut")), [[0, 3, 2, 1], [1, 2, 0, 3]]);
    }

    #[test]
    fn a_range_holds_its_limit_and_may_be_empty() {
        let index = filled();
        let rows = index.range(&[1.0, 0.0, 0.0, -1.0], 2, 0.6).expect("a range search");
        assert_eq!(positions(&rows), [vec![0, 3, 2], vec![]]);
        assert_eq!(positions(&index.range(&[0.0, -1.0], 1, 0.5).expect("nothing at all")), [[0; 0]]);
        assert!(FlatIndex::new(2).expect("an index").range(&[1.0, 0.0], 1, 0.0).expect("empty")[0].is_empty());
        assert!(index.range(&[], 0, 0.0).expect("no queries").is_empty());
    }

    #[test]
    fn vectors_of_the_wrong_length_are_refused() {
        let mut index = filled();
        assert!(matches!(index.add(&[1.0; 3]), Err(IndexError::Dimensions { expected: 2, got: 1 })));
        assert!(index.search(&[1.0; 3], 1).is_err());
        assert!(index.range(&[1.0; 2], 2, 0.0).is_err());
        assert!(FlatIndex::new(0).is_err() && FlatIndex::new(MAX_DIMENSIONS + 1).is_err());
        assert_eq!(index.len(), 4);
    }
}
