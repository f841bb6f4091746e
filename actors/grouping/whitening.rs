//! Centres and whitens vectors by the mean and covariance of a cohort.

use crate::grouping::heap_size;

/// Weight of the prior that the mean is 0, in vectors of the cohort.
const MEAN_PRIOR: f64 = 300.0;
/// Weight of the prior that the covariance has no direction, in vectors of the cohort for each dimension. With 128
/// dimensions and a cohort of 2,000 its share is 0.72.
const COVARIANCE_PRIOR: f64 = 40.0;

/// An affine map, followed by scaling to unit length.
#[derive(Clone, Debug)]
pub(crate) struct Whitening {
    mean: Vec<f32>,
    /// The inverse of the lower Cholesky factor of the covariance, row-major; each row has only the elements up to the
    /// diagonal.
    inverse: Vec<f32>,
}

impl Whitening {
    /// Returns the bytes that the whitening keeps on the heap.
    pub(crate) fn heap_size(&self) -> usize {
        heap_size::vec(&self.mean) + heap_size::vec(&self.inverse)
    }

    /// Learns the whitening from unit vectors (n x `dimensions`, row-major) and their weights.
    pub(crate) fn learn(dimensions: usize, cohort: &[f32], weights: &[f32]) -> Self {
        let n: f64 = weights.iter().map(|weight| f64::from(*weight)).sum();
        let mut mean = vec![0.0_f64; dimensions];
        for (vector, weight) in cohort.chunks_exact(dimensions.max(1)).zip(weights) {
            mean.iter_mut().zip(vector).for_each(|(m, v)| *m += f64::from(*weight) * f64::from(*v));
        }
        mean.iter_mut().for_each(|m| *m /= n.max(1e-9));
        let mut covariance = vec![0.0_f64; dimensions * dimensions];
        for (vector, weight) in cohort.chunks_exact(dimensions.max(1)).zip(weights) {
            let off: Vec<f64> = vector.iter().zip(&mean).map(|(v, m)| f64::from(*v) - m).collect();
            for (row, left) in off.iter().enumerate() {
                let sums = covariance[row * dimensions..].iter_mut().zip(&off[..=row]);
                sums.for_each(|(sum, right)| *sum += f64::from(*weight) * left * right);
            }
        }
        let trace: f64 = (0..dimensions).map(|d| covariance[d * dimensions + d]).sum();
        // This makes the mean variance of the directions 1, so that lengths stay about as they were.
        let scale = trace / dimensions as f64 / n.max(1e-9);
        let prior = COVARIANCE_PRIOR * dimensions as f64;
        for row in 0..dimensions {
            for column in 0..=row {
                let own = if scale > 1e-9 { covariance[row * dimensions + column] / scale } else { 0.0 };
                let even = if row == column { prior + if scale > 1e-9 { 0.0 } else { n } } else { 0.0 };
                covariance[row * dimensions + column] = (own + even) / (n + prior);
            }
        }
        let share = n / (n + MEAN_PRIOR);
        Self {
            mean: mean.into_iter().map(|m| (m * share) as f32).collect(),
            inverse: inverse_factor(covariance, dimensions),
        }
    }

    /// Returns the length of a vector.
    pub(crate) fn dimensions(&self) -> usize {
        self.mean.len()
    }

    /// Maps a vector and scales it to unit length; all 0 where nothing is left of it.
    pub(crate) fn apply(&self, vector: &[f32]) -> Vec<f32> {
        let off: Vec<f32> = vector.iter().zip(&self.mean).map(|(v, m)| v - m).collect();
        let mut start = 0;
        let mut mapped = Vec::with_capacity(off.len());
        for row in 0..off.len() {
            let weights = &self.inverse[start..=start + row];
            mapped.push(crate::grouping::dot::dot(weights, &off[..=row]));
            start += row + 1;
        }
        let length = mapped.iter().map(|v| v * v).sum::<f32>().sqrt();
        if length > 1e-6 {
            mapped.iter_mut().for_each(|v| *v /= length);
        } else {
            mapped.fill(0.0);
        }
        mapped
    }
}

/// Computes the inverse of the lower Cholesky factor of a positive definite matrix (of which the lower half is read,
/// row-major), row after row up to the diagonal.
fn inverse_factor(mut matrix: Vec<f64>, n: usize) -> Vec<f32> {
    for row in 0..n {
        for column in 0..=row {
            let (left, right) = (&matrix[row * n..][..column], &matrix[column * n..][..column]);
            let sum: f64 = left.iter().zip(right).map(|(a, b)| a * b).sum();
            let rest = matrix[row * n + column] - sum;
            matrix[row * n + column] =
                if row == column { rest.max(1e-12).sqrt() } else { rest / matrix[column * n + column] };
        }
    }
    // Forward substitution: row `r` of the inverse from the rows before it.
    let mut inverse = vec![0.0_f64; n * n];
    for row in 0..n {
        let (before, own) = inverse.split_at_mut(row * n);
        for (k, factor) in matrix[row * n..][..row].iter().enumerate() {
            let known = &before[k * n..][..=k];
            own[..=k].iter_mut().zip(known).for_each(|(sum, v)| *sum -= factor * v);
        }
        let diagonal = matrix[row * n + row];
        own[..row].iter_mut().for_each(|v| *v /= diagonal);
        own[row] = 1.0 / diagonal;
    }
    (0..n).flat_map(|row| inverse[row * n..][..=row].iter().map(|v| *v as f32).collect::<Vec<_>>()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grouping::dot::dot;
    use crate::grouping::tests::Rng;

    #[test]
    fn the_inverse_factor_whitens() {
        // Covariance [[4, 2], [2, 3]]: the map W has W C Wᵀ = 1.
        let inverse = inverse_factor(vec![4.0, 0.0, 2.0, 3.0], 2);
        let w = [[inverse[0], 0.0], [inverse[1], inverse[2]]];
        let c = [[4.0, 2.0], [2.0, 3.0_f32]];
        for (i, row) in w.iter().enumerate() {
            for (j, column) in w.iter().enumerate() {
                let sum: f32 =
                    (0..2).flat_map(|a| (0..2).map(move |b| (a, b))).map(|(a, b)| row[a] * c[a][b] * column[b]).sum();
                assert!((sum - if i == j { 1.0 } else { 0.0 }).abs() < 1e-5, "{i} {j}: {sum}");
            }
        }
    }

    #[test]
    fn without_a_cohort_nothing_changes() {
        let mut rng = Rng(1);
        let (a, b) = (rng.direction(48), rng.direction(48));
        let whitening = Whitening::learn(48, &[], &[]);
        assert!((dot(&whitening.apply(&a), &whitening.apply(&b)) - dot(&a, &b)).abs() < 1e-5);
    }

    #[test]
    fn what_all_have_in_common_goes() {
        let mut rng = Rng(2);
        let common = rng.direction(16);
        let cone = |rng: &mut Rng| crate::grouping::tests::near(rng, &common, 0.6);
        let cohort: Vec<f32> = (0..5000).flat_map(|_| cone(&mut rng)).collect();
        let whitening = Whitening::learn(16, &cohort, &[1.0; 5000]);
        let (a, b) = (cone(&mut rng), cone(&mut rng));
        let (raw, mapped) = (dot(&a, &b), dot(&whitening.apply(&a), &whitening.apply(&b)));
        assert!(raw > 0.3 && mapped < raw - 0.3, "{raw} before, {mapped} after");
    }
}
