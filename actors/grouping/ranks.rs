//! Statistics of weighted values (mean, deviation, median, largest), computed without sorting all of them.

use crate::grouping::normal::upper_quantile;

/// Share of the values at whose rank the deviation is measured.
const NEAREST: f64 = 0.025;

/// A value and its weight.
pub(crate) type Weighted = (f32, f32);

/// Returns the sum of the weights.
pub(crate) fn total(values: &[Weighted]) -> f64 {
    values.iter().map(|(_, weight)| f64::from(*weight)).sum()
}

/// Computes the weighted mean and sample deviation of values whose weights sum up to `n`.
pub(crate) fn moments(values: &[Weighted], n: f64) -> (f64, f64) {
    let weighted = |of: &dyn Fn(f64) -> f64| -> f64 {
        values.iter().map(|(v, weight)| f64::from(*weight) * of(f64::from(*v))).sum::<f64>()
    };
    let mean = weighted(&|v| v) / n;
    (mean, (weighted(&|v| (v - mean).powi(2)) / (n - 1.0).max(1.0)).sqrt())
}

/// Computes the median of values whose weights sum up to `n`, and a deviation: that of the normal distribution with
/// this median and with the values around the [`NEAREST`] rank, counted from the largest. The very largest values are
/// left out, because they may be of the same person. The values are reordered.
pub(crate) fn ranks(values: &mut [Weighted], n: f64) -> (f64, f64) {
    let rank = (NEAREST * n).max(2.0);
    let (from, to) = ((rank / 2.0).max(1.0), rank * 1.5);
    let largest = sort_largest(values, to);
    let (mut before, mut near, mut spread, mut taken) = (0.0, 0.0, 0.0, 0.0);
    for (value, weight) in values[..largest].iter().map(|(v, weight)| (f64::from(*v), f64::from(*weight))) {
        let inside = (before + weight).min(to) - before.max(from);
        if inside > 0.0 {
            let middle = before.max(from) + inside / 2.0;
            near += inside * value;
            spread += inside * upper_quantile((middle / n).clamp(1e-9, 0.5));
            taken += inside;
        }
        before += weight;
    }
    let median = at_weight(values, n / 2.0);
    let deviation = if spread > 0.0 { (near - taken * median) / spread } else { 0.0 };
    (median, deviation.max(0.0))
}

/// Moves the largest values, which together weigh at least `weight`, to the front in descending order, and returns how
/// many they are.
fn sort_largest(values: &mut [Weighted], weight: f64) -> usize {
    let mut count = (weight.ceil() as usize + 8).min(values.len());
    loop {
        if count < values.len() {
            values.select_nth_unstable_by(count, |(a, _), (b, _)| b.total_cmp(a));
        }
        if count == values.len() || total(&values[..count]) >= weight {
            break;
        }
        count = (2 * count).min(values.len());
    }
    values[..count].sort_unstable_by(|(a, _), (b, _)| b.total_cmp(a));
    count
}

/// Returns the value at which the weights, added from the largest value down, reach `weight`; 0 where there are no
/// values.
fn at_weight(mut values: &mut [Weighted], weight: f64) -> f64 {
    let mut before = 0.0;
    while values.len() > 1 {
        let middle = values.len() / 2;
        values.select_nth_unstable_by(middle, |(a, _), (b, _)| b.total_cmp(a));
        let (larger, rest) = values.split_at_mut(middle);
        let with_larger = before + total(larger);
        if with_larger >= weight {
            values = larger;
        } else {
            before = with_larger;
            values = rest;
        }
    }
    values.first().map_or(0.0, |(value, _)| f64::from(*value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grouping::tests::Rng;

    #[test]
    fn ranks_are_those_of_sorted_values() {
        let mut rng = Rng(8);
        for count in [2, 3, 13, 100, 2000] {
            let mut values: Vec<Weighted> =
                (0..count).map(|n| (rng.direction(4)[0], if n % 3 == 0 { 0.25 } else { 1.0 })).collect();
            let n = total(&values);
            let mut sorted = values.clone();
            sorted.sort_by(|(a, _), (b, _)| b.total_cmp(a));
            let mut before = 0.0;
            let median = sorted.iter().find(|(_, weight)| {
                before += f64::from(*weight);
                before >= n / 2.0
            });
            assert_eq!(at_weight(&mut values.clone(), n / 2.0), f64::from(median.expect("a median").0), "{count}");
            let largest = sort_largest(&mut values, n / 4.0);
            assert!(total(&values[..largest]) >= n / 4.0);
            let of = |values: &[Weighted]| values.iter().map(|(value, _)| *value).collect::<Vec<_>>();
            assert_eq!(of(&values[..largest]), of(&sorted[..largest]), "{count}");
        }
        assert_eq!(at_weight(&mut [], 1.0), 0.0);
    }

    #[test]
    fn a_normal_sample_has_its_mean_and_deviation() {
        let mut rng = Rng(9);
        // A component of a random direction in 100 dimensions has a deviation of a tenth.
        let mut values: Vec<Weighted> = (0..4000).map(|_| (0.3 + rng.direction(100)[0], 1.0)).collect();
        let (median, deviation) = ranks(&mut values, 4000.0);
        assert!((median - 0.3).abs() < 0.01 && (deviation - 0.1).abs() < 0.01, "{median} {deviation}");
    }
}
