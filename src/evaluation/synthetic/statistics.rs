//! Statistics of the similarities of pairs in a synthetic library, to which it is fitted.

use super::SyntheticLibrary;
use super::population::Age;
use crate::bootstrap::percentile;

/// The distribution of the cosines of some pairs.
#[derive(Debug)]
pub(super) struct CosineSpread {
    pub mean: f64,
    pub sd: f64,
    /// The 99.9th percentile.
    pub p999: f64,
    /// Share of pairs above the threshold of the pack `open`, 0.38.
    pub above: f64,
}

impl CosineSpread {
    fn of(mut cosines: Vec<f64>) -> Self {
        let count = cosines.len() as f64;
        let mean = cosines.iter().sum::<f64>() / count;
        let square = cosines.iter().map(|cosine| (cosine - mean) * (cosine - mean)).sum::<f64>();
        let above = cosines.iter().filter(|cosine| **cosine > 0.38).count() as f64 / count;
        cosines.sort_unstable_by(f64::total_cmp);
        Self { mean, sd: (square / count).sqrt(), p999: percentile(&cosines, 0.999), above }
    }
}

/// Returns the statistics of strangers, and of faces of one person in different moments, with one
/// face of either age.
pub(super) fn pairs(library: &SyntheticLibrary, one: Age, other: Age) -> (CosineSpread, CosineSpread) {
    let (mut strangers, mut same) = (Vec::new(), Vec::new());
    for (at, a) in library.faces.iter().enumerate() {
        for b in &library.faces[..at] {
            if (a.age, b.age) != (one, other) && (b.age, a.age) != (one, other) || a.moment == b.moment {
                continue;
            }
            let cosine: f32 = a.vector.iter().zip(&b.vector).map(|(x, y)| x * y).sum();
            if a.person == b.person { same.push(f64::from(cosine)) } else { strangers.push(f64::from(cosine)) }
        }
    }
    (CosineSpread::of(strangers), CosineSpread::of(same))
}
