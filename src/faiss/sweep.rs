//! A few queries against many vectors, each vector read once where it lies.
//!
//! A matrix product copies the vectors into its own order first, which pays only when many queries share the copy: 5
//! queries against 100,000 vectors of 512 take OpenBLAS 22 ms on 2 cores and this 9 (`make bench`, docs/grouping.md).

use std::thread;

use muster_actors::grouper::graph::dot;
use muster_actors::ports::index::Neighbour;

/// Most queries for which a sweep is quicker than a matrix product.
pub const FEW: usize = 16;
/// Floats that are worth a thread of their own.
const SHARE: usize = 1 << 20;

/// For each query (rows of `dimensions`), the vectors at least `similarity` near, by position.
pub fn range(vectors: &[f32], dimensions: usize, queries: &[f32], similarity: f32) -> Vec<Vec<Neighbour>> {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let threads = (vectors.len() / SHARE).clamp(1, cores);
    let rows = (vectors.len() / dimensions).div_ceil(threads).max(1);
    let mut all = vec![Vec::new(); queries.len() / dimensions];
    let parts = vectors.chunks(rows * dimensions).enumerate();
    thread::scope(|scope| {
        let sweep = |(n, part)| scope.spawn(move || sweep(part, n * rows, dimensions, queries, similarity));
        let running: Vec<_> = parts.map(sweep).collect();
        for part in running {
            let found = part.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            all.iter_mut().zip(found).for_each(|(row, hits)| row.extend(hits));
        }
    });
    all
}

fn sweep(part: &[f32], first: usize, dimensions: usize, queries: &[f32], similarity: f32) -> Vec<Vec<Neighbour>> {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") {
        // SAFETY: this processor has AVX2.
        return unsafe { sweep_avx2(part, first, dimensions, queries, similarity) };
    }
    sweep_any(part, first, dimensions, queries, similarity)
}

/// As [`sweep_any`], compiled with wider registers.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn sweep_avx2(part: &[f32], first: usize, dimensions: usize, queries: &[f32], similarity: f32) -> Vec<Vec<Neighbour>> {
    sweep_any(part, first, dimensions, queries, similarity)
}

#[inline(always)]
fn sweep_any(part: &[f32], first: usize, dimensions: usize, queries: &[f32], similarity: f32) -> Vec<Vec<Neighbour>> {
    let mut found = vec![Vec::new(); queries.len() / dimensions];
    for (n, vector) in part.chunks_exact(dimensions).enumerate() {
        for (query, hits) in queries.chunks_exact(dimensions).zip(&mut found) {
            let near = dot(query, vector);
            if near >= similarity {
                hits.push(Neighbour { position: first + n, similarity: near });
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_and_registers_change_no_answer() {
        let dimensions = 70;
        let value = |n: usize| ((n * 2_654_435_761) % 1000) as f32 / 1000.0 - 0.5;
        let vectors: Vec<f32> = (0..SHARE * 3 / dimensions * dimensions).map(value).collect();
        let queries: Vec<f32> = (7..7 + 3 * dimensions).map(value).collect();
        let found = range(&vectors, dimensions, &queries, 0.8);
        let plain = sweep_any(&vectors, 0, dimensions, &queries, 0.8);
        assert!(found.iter().all(|row| !row.is_empty() && row.len() < 10_000), "a threshold that divides");
        assert_eq!(found, plain);
    }
}
