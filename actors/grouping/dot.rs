//! Inner products of vectors.

/// Computes the inner product in a fixed order of summation, so that `dot(a, b)` and `dot(b, a)` are equal to the last
/// bit. It is always inlined, so that a caller that is compiled for wider registers uses them here too.
#[inline(always)]
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    const LANES: usize = 32;
    let (left, right) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest: f32 = left.remainder().iter().zip(right.remainder()).map(|(x, y)| x * y).sum();
    let mut lanes = [0.0_f32; LANES];
    for (x, y) in left.zip(right) {
        for lane in 0..LANES {
            lanes[lane] += x[lane] * y[lane];
        }
    }
    lanes.iter().sum::<f32>() + rest
}

/// Computes the inner products of a few queries with many vectors (both n x `dimensions`, row-major). `into` gets one
/// row for each query. Each product equals that of [`dot`] to the last bit.
pub(crate) fn dots(vectors: &[f32], queries: &[f32], dimensions: usize, into: &mut Vec<f32>) {
    let count = vectors.len() / dimensions.max(1);
    into.clear();
    into.resize(count * (queries.len() / dimensions.max(1)), 0.0);
    if into.is_empty() {
        return;
    }
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx512f") {
        // SAFETY: this processor has AVX-512.
        return unsafe { fill_avx512(vectors, queries, dimensions, count, into) };
    } else if is_x86_feature_detected!("avx2") {
        // SAFETY: this processor has AVX2.
        return unsafe { fill_avx2(vectors, queries, dimensions, count, into) };
    }
    fill(vectors, queries, dimensions, count, into);
}

/// Does what [`fill`] does, compiled for wider registers. The 32 partial sums are the same in registers of any width.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn fill_avx512(vectors: &[f32], queries: &[f32], dimensions: usize, count: usize, into: &mut [f32]) {
    fill(vectors, queries, dimensions, count, into);
}

/// Does what [`fill`] does, compiled for wider registers.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn fill_avx2(vectors: &[f32], queries: &[f32], dimensions: usize, count: usize, into: &mut [f32]) {
    fill(vectors, queries, dimensions, count, into);
}

/// Fills `into`, and reads each vector once for all queries.
#[inline(always)]
fn fill(vectors: &[f32], queries: &[f32], dimensions: usize, count: usize, into: &mut [f32]) {
    for (column, vector) in vectors.chunks_exact(dimensions).enumerate() {
        for (row, query) in queries.chunks_exact(dimensions).enumerate() {
            into[row * count + column] = dot(vector, query);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grouping::tests::Rng;

    #[test]
    fn wider_registers_change_no_bit() {
        let mut rng = Rng(3);
        let dimensions = 70;
        let mut rows = |count: usize| (0..count).flat_map(|_| rng.direction(dimensions)).collect::<Vec<f32>>();
        let (vectors, queries) = (rows(40), rows(3));
        let mut all = Vec::new();
        dots(&vectors, &queries, dimensions, &mut all);
        let each = queries.chunks_exact(dimensions);
        let plain: Vec<f32> =
            each.flat_map(|query| vectors.chunks_exact(dimensions).map(move |vector| dot(query, vector))).collect();
        assert_eq!(all, plain);
        dots(&[], &queries, dimensions, &mut all);
        assert!(all.is_empty());
        dots(&[], &[], 0, &mut all);
        assert!(all.is_empty());
    }
}
