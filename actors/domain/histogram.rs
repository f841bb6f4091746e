//! A histogram of fixed buckets: how often values were how large, in constant memory.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// Upper bounds of durations, in seconds: 1 ms to 60 s.
pub const SECONDS: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

/// Upper bounds of figures between 0 and 1.
pub const FRACTION: &[f64] = &[0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0];

/// Upper bounds of angles between 0 and 90 degrees.
pub const DEGREES: &[f64] = &[5.0, 10.0, 15.0, 20.0, 30.0, 45.0, 60.0, 75.0, 90.0];

/// How far inside a bucket an estimated value lies at least: a value on the lower bound belongs to the bucket below.
const INSIDE: f64 = 1e-6;

/// Two histograms have other buckets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("histograms of other buckets cannot be added")]
pub struct OtherBuckets;

/// Counts by bucket. A bucket holds the values up to its upper bound and above the one before; the last holds the rest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Histogram {
    bounds: Cow<'static, [f64]>,
    counts: Vec<u64>,
    sum: f64,
}

impl Default for Histogram {
    /// Empty, for durations in seconds.
    fn default() -> Self {
        Self::new(SECONDS)
    }
}

impl Histogram {
    /// Empty, with these upper bounds.
    pub fn new(bounds: &'static [f64]) -> Self {
        Self { bounds: Cow::Borrowed(bounds), counts: vec![0; bounds.len() + 1], sum: 0.0 }
    }

    /// Counts a value. What is not finite is no measurement.
    pub fn record(&mut self, value: f64) {
        self.record_times(value, 1);
    }

    /// Counts a value that was measured `times` times.
    pub fn record_times(&mut self, value: f64, times: u64) {
        if value.is_finite() {
            let bucket = self.bounds.partition_point(|bound| *bound < value);
            if let Some(count) = self.counts.get_mut(bucket) {
                *count += times;
                self.sum += value * times as f64;
            }
        }
    }

    /// Adds what another one of the same buckets counted.
    pub fn merge(&mut self, other: &Self) -> Result<(), OtherBuckets> {
        if self.bounds != other.bounds || self.counts.len() != other.counts.len() {
            return Err(OtherBuckets);
        }
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
        self.sum += other.sum;
        Ok(())
    }

    /// What was counted since `earlier`; everything, where `earlier` is not an earlier state of this one.
    pub fn since(&self, earlier: &Self) -> Self {
        let grew = self.bounds == earlier.bounds
            && self.counts.len() == earlier.counts.len()
            && self.counts.iter().zip(&earlier.counts).all(|(now, before)| now >= before);
        if !grew {
            return self.clone();
        }
        let counts = self.counts.iter().zip(&earlier.counts).map(|(now, before)| now - before).collect();
        Self { bounds: self.bounds.clone(), counts, sum: self.sum - earlier.sum }
    }

    /// How many values were counted.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Their sum.
    pub fn sum(&self) -> f64 {
        self.sum
    }

    /// Whether nothing was counted.
    pub fn is_empty(&self) -> bool {
        self.counts.iter().all(|count| *count == 0)
    }

    /// The upper bounds, ascending; the last bucket has none.
    pub fn bounds(&self) -> &[f64] {
        &self.bounds
    }

    /// The counts, one more than there are bounds.
    pub fn counts(&self) -> &[u64] {
        &self.counts
    }

    /// For each bucket that is not empty a value inside it and its count, chosen so that they have the histogram's sum: for
    /// receivers that take values and not buckets. Values are expected not to be negative.
    pub fn points(&self) -> Vec<(f64, u64)> {
        let last = self.bounds.last().copied().unwrap_or(0.0);
        let finite: Vec<(f64, f64, u64)> = self
            .bounds
            .iter()
            .zip(&self.counts)
            .scan(0.0, |low, (high, count)| Some((std::mem::replace(low, *high), *high, *count)))
            .filter(|(.., count)| *count > 0)
            .collect();
        let above = self.counts.get(self.bounds.len()).copied().unwrap_or_default();
        let low: f64 = finite.iter().map(|(low, _, count)| low * *count as f64).sum();
        let high: f64 = finite.iter().map(|(_, high, count)| high * *count as f64).sum();
        // Values above the last bound have no upper bound: they take what is left when the others lie half way, but stay above.
        let least = last + INSIDE * last.abs().max(1.0);
        let over = if above == 0 { 0.0 } else { ((self.sum - (low + high) / 2.0) / above as f64).max(least) };
        let share = if high > low { (self.sum - over * above as f64 - low) / (high - low) } else { 0.5 };
        let share = if share.is_finite() { share.clamp(INSIDE, 1.0) } else { 0.5 };
        let inside = finite.into_iter().map(|(low, high, count)| ((low + share * (high - low)).min(high), count));
        inside.chain((above > 0).then_some((over, above))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn filled(bounds: &'static [f64], values: &[f64]) -> Histogram {
        let mut histogram = Histogram::new(bounds);
        values.iter().for_each(|value| histogram.record(*value));
        histogram
    }

    #[test]
    fn a_value_falls_into_the_bucket_whose_bound_it_does_not_exceed() {
        for (value, bucket) in [(0.0, 0), (1.0, 0), (1.1, 1), (2.0, 1), (2.1, 2), (-1.0, 0), (1e9, 2)] {
            let histogram = filled(&[1.0, 2.0], &[value]);
            assert_eq!(histogram.counts().iter().position(|count| *count == 1), Some(bucket), "{value}");
            assert_eq!((histogram.count(), histogram.sum()), (1, value));
        }
        let none = filled(&[1.0], &[f64::NAN, f64::INFINITY]);
        assert!(none.is_empty() && none.sum() == 0.0);
    }

    #[test]
    fn bounds_are_in_order() {
        assert!(SECONDS.is_sorted() && FRACTION.is_sorted() && DEGREES.is_sorted());
    }

    #[test]
    fn histograms_of_the_same_buckets_are_added_and_taken_apart() {
        let (one, two) = (filled(&[1.0, 2.0], &[0.5, 3.0]), filled(&[1.0, 2.0], &[1.5]));
        let mut both = one.clone();
        both.merge(&two).unwrap();
        assert_eq!(both, filled(&[1.0, 2.0], &[0.5, 3.0, 1.5]));
        assert_eq!(both.since(&one), two);
        assert_eq!(one.since(&both), one, "a counter that started again counts from zero");
        assert_eq!(both.merge(&Histogram::default()), Err(OtherBuckets));
    }

    #[test]
    fn it_survives_being_written_and_read() {
        let histogram = filled(SECONDS, &[0.002, 7.0]);
        let text = serde_json::to_string(&histogram).unwrap();
        assert_eq!(serde_json::from_str::<Histogram>(&text).unwrap(), histogram);
    }

    proptest! {
        #[test]
        fn its_points_have_its_counts_and_its_sum(values in prop::collection::vec(0.0005f64..200.0, 1..60)) {
            let histogram = filled(SECONDS, &values);
            let mut again = Histogram::default();
            histogram.points().iter().for_each(|(value, count)| again.record_times(*value, *count));
            prop_assert_eq!(again.counts(), histogram.counts());
            let error = (again.sum() - histogram.sum()).abs();
            prop_assert!(error <= 1e-3 * histogram.sum().max(1.0), "{} is not {}", again.sum(), histogram.sum());
        }
    }
}
