//! Converts the mean excess between two groups into the odds that they are one person.

use crate::grouping::params::Params;

/// The slope of the log-odds over the excess for two single faces, by a logistic regression over the joins that average
/// linkage makes on LFW (docs/grouping.md).
const SLOPE: f32 = 32.0;
/// Exponent with which the slope grows with the number of pairs.
const CERTAINTY: f32 = 0.3;
/// Largest slope of the log-odds over the excess.
const STEEPEST: f32 = 90.0;

/// Computes the log-odds that two groups are one person, from the mean excess over the pairs between them.
pub(crate) fn log_odds(params: &Params, excess: f32, pairs: usize) -> f32 {
    let pairs = pairs.max(1) as f32;
    let even = params.settled + params.lone * pairs.powf(-params.decay);
    (SLOPE * pairs.powf(CERTAINTY)).min(STEEPEST) * (excess - even)
}

/// Returns the mean excess from which two groups join, given the number of pairs between them.
pub(crate) fn needed(params: &Params, pairs: usize) -> f32 {
    let pairs = pairs.max(1) as f32;
    let slope = (SLOPE * pairs.powf(CERTAINTY)).min(STEEPEST);
    params.settled + params.lone * pairs.powf(-params.decay) + params.caution.max(f32::MIN_POSITIVE).ln() / slope
}

/// Converts log-odds to a probability, 0 to 1.
pub(crate) fn probability(log_odds: f32) -> f32 {
    1.0 / (1.0 + (-log_odds).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_pairs_need_less_excess_and_caution_needs_more() {
        let params = Params::default();
        let table = [(1, 0.18), (4, 0.1332), (100, 0.0874), (100_000, 0.0711)];
        for (pairs, excess) in table {
            assert!((needed(&params, pairs) - excess).abs() < 1e-3, "{pairs} pairs: {}", needed(&params, pairs));
            assert!((probability(log_odds(&params, excess, pairs)) - 0.5).abs() < 0.03);
        }
        let careful = Params { caution: 9.0, ..params.clone() };
        for pairs in [1, 4, 100] {
            let excess = needed(&careful, pairs);
            assert!((probability(log_odds(&params, excess, pairs)) - 0.9).abs() < 1e-3, "odds of 9 are 0.9");
        }
    }
}
