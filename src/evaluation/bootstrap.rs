//! Confidence intervals of scores: the scores are computed again over people that are drawn at
//! random.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// The settings of confidence intervals: a bootstrap over people (Efron & Tibshirani 1993), by
/// percentiles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bootstrap {
    /// Number of times that people are drawn, with replacement, as many as there are. 0 computes no
    /// intervals.
    pub draws: usize,
    /// Seed of the draws; the same seed gives the same intervals.
    pub seed: u64,
}

impl Default for Bootstrap {
    fn default() -> Self {
        Self { draws: 200, seed: 1 }
    }
}

/// A 95 % confidence interval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// The 2.5th percentile.
    pub low: f64,
    /// The 97.5th percentile.
    pub high: f64,
}

impl Bootstrap {
    /// Computes intervals of figures. `figures` computes them from a weight for each person, which
    /// says how often the person was drawn. `None` where there are no draws or no people.
    pub(crate) fn intervals<const N: usize>(
        &self,
        people: usize,
        figures: impl Fn(&[f64]) -> [f64; N],
    ) -> Option<[Interval; N]> {
        if self.draws == 0 || people == 0 {
            return None;
        }
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        let mut columns: [Vec<f64>; N] = std::array::from_fn(|_| Vec::with_capacity(self.draws));
        let mut weights = vec![0.0; people];
        for _ in 0..self.draws {
            weights.fill(0.0);
            for _ in 0..people {
                weights[rng.random_range(0..people)] += 1.0;
            }
            for (column, figure) in columns.iter_mut().zip(figures(&weights)) {
                column.push(figure);
            }
        }
        Some(columns.map(|mut column| {
            column.sort_by(f64::total_cmp);
            Interval { low: percentile(&column, 0.025), high: percentile(&column, 0.975) }
        }))
    }
}

/// Returns a percentile of ascending values, interpolated linearly between neighbours; `share` is 0
/// to 1.
pub(crate) fn percentile(sorted: &[f64], share: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
    let at = share * last as f64;
    let below = at.floor() as usize;
    let above = (below + 1).min(last);
    sorted[below] + (sorted[above] - sorted[below]) * (at - below as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_lies_between_its_neighbours() {
        assert_eq!(percentile(&[1.0, 2.0, 3.0], 0.5), 2.0);
        assert_eq!(percentile(&[1.0, 2.0], 0.25), 1.25);
        assert_eq!(percentile(&[5.0], 0.975), 5.0);
    }

    #[test]
    fn an_interval_holds_the_mean_and_follows_the_seed() {
        let values: Vec<f64> = (0..50).map(f64::from).collect();
        let mean = |weights: &[f64]| {
            let sum: f64 = weights.iter().zip(&values).map(|(weight, value)| weight * value).sum();
            [sum / weights.iter().sum::<f64>()]
        };
        let first = Bootstrap::default().intervals(50, mean).unwrap();
        assert!(first[0].low < 24.5 && 24.5 < first[0].high, "{first:?}");
        // The standard error of the mean is 2.04, so the interval is about 8 wide.
        assert!((6.0..10.0).contains(&(first[0].high - first[0].low)), "{first:?}");
        assert_eq!(Bootstrap::default().intervals(50, mean), Some(first));
        assert_ne!(Bootstrap { seed: 2, ..Default::default() }.intervals(50, mean), Some(first));
    }

    #[test]
    fn nobody_and_no_draws_give_no_interval() {
        assert_eq!(Bootstrap::default().intervals(0, |_| [0.0]), None);
        assert_eq!(Bootstrap { draws: 0, seed: 1 }.intervals(3, |_| [0.0]), None);
    }
}
