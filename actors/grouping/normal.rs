//! Quantiles of the normal distribution.

/// Returns the value that a standard normal variable exceeds with probability `p` (0 to 1, both excluded), by Acklam's
/// rational approximation; its relative error is below 1.2e-9.
pub(crate) fn upper_quantile(p: f64) -> f64 {
    const A: [f64; 6] = [
        -3.969_683_028_665_376e1,
        2.209_460_984_245_205e2,
        -2.759_285_104_469_687e2,
        1.383_577_518_672_69e2,
        -3.066_479_806_614_716e1,
        2.506_628_277_459_239,
    ];
    const B: [f64; 5] = [
        -5.447_609_879_822_406e1,
        1.615_858_368_580_409e2,
        -1.556_989_798_598_866e2,
        6.680_131_188_771_972e1,
        -1.328_068_155_288_572e1,
    ];
    const C: [f64; 6] = [
        -7.784_894_002_430_293e-3,
        -3.223_964_580_411_365e-1,
        -2.400_758_277_161_838,
        -2.549_732_539_343_734,
        4.374_664_141_464_968,
        2.938_163_982_698_783,
    ];
    const D: [f64; 4] =
        [7.784_695_709_041_462e-3, 3.224_671_290_700_398e-1, 2.445_134_137_142_996, 3.754_408_661_907_416];
    let polynomial = |coefficients: &[f64], x: f64| coefficients.iter().fold(0.0, |sum, c| sum * x + c);
    let tail = |p: f64| {
        let q = (-2.0 * p.ln()).sqrt();
        polynomial(&C, q) / (polynomial(&D, q) * q + 1.0)
    };
    if p < 0.024_25 {
        -tail(p)
    } else if p > 1.0 - 0.024_25 {
        tail(1.0 - p)
    } else {
        let q = 0.5 - p;
        let r = q * q;
        polynomial(&A, r) * q / (polynomial(&B, r) * r + 1.0)
    }
}

/// Estimates the mean of the `from`th (counted from 0) to the `to`th (excluded) largest of `n` standard normal values.
pub(crate) fn largest(from: usize, to: usize, n: f64) -> f64 {
    let ranks = to.saturating_sub(from).max(1);
    (from..from + ranks).map(|k| upper_quantile(((k as f64 + 0.5) / n).min(0.5))).sum::<f64>() / ranks as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_tables() {
        let table =
            [(0.5, 0.0), (0.158_655_254, 1.0), (0.022_750_132, 2.0), (0.001_349_898, 3.0), (0.841_344_746, -1.0)];
        for (p, z) in table {
            assert!((upper_quantile(p) - z).abs() < 1e-6, "{p}: {}", upper_quantile(p));
        }
        assert!((largest(0, 1, 1000.0) - upper_quantile(0.0005)).abs() < 1e-12);
    }
}
