//! How near strangers come, to the faces of a library as a whole and to each face.
//!
//! The same similarity means different things for different faces: among children, or in a large library, strangers
//! come nearer than among few grown people. So a library's own strangers are looked for (faces of a cohort, one of each
//! look), and two things are learned from them. First the directions in which all of them lie or spread: they tell
//! people apart less than others, so vectors are centred and whitened by them, the less the smaller the cohort is
//! (Ledoit & Wolf 2004 for the idea). Then, for each face, the level that the nearest of its strangers reach, as in
//! the adaptive score normalisation of speaker recognition (Matějka et al. 2017). What a similarity has above the mean
//! level of its two faces is its excess.

use crate::domain::gallery::FaceVector;
use crate::grouping::graph::dot;
use crate::grouping::normal::{largest, upper_quantile};
use crate::grouping::params::Params;
use crate::grouping::whitening::Whitening;

/// Strangers in the cohort at most.
const COHORT: usize = 2000;
/// Faces that are looked at for the cohort at most.
const CANDIDATES: usize = 10 * COHORT;
/// Strangers that the pack's own figures count as, for the library as a whole and for each face.
const POOLED: f64 = 5.0;
const OWN: f64 = 100.0;
/// With fewer strangers than this a face's level comes from their mean and deviation, else from their ranks.
const RANKED: usize = 12;
/// Deviations above the others from which the nearest of few strangers is taken for the same person.
const ALONE: f64 = 3.0;
/// Share of the strangers whose rank gives the level.
const NEAREST: f64 = 0.025;
/// The level is the mean similarity of the nearest strangers from this rank to that one...
const RANKS: (usize, usize) = (2, 22);
/// ...among as many people as there are faces over this...
const FACES_OF_A_PERSON: f64 = 2.0;
/// ...and no fewer: what a face in a small library resembles least may still be anybody.
const FEWEST_PEOPLE: f64 = 300.0;

/// What was learned from a library.
#[derive(Clone, Debug)]
pub struct Calibration {
    whitening: Whitening,
    /// Whitened vectors of the cohort, flattened row-major.
    cohort: Vec<f32>,
    /// Mean and deviation of the similarity of two strangers.
    mean: f64,
    deviation: f64,
    /// Deviations that the level lies above the mean.
    height: f64,
    sure: f32,
    /// Number of faces it was learned from.
    faces: usize,
}

impl Calibration {
    /// Learns from faces, all vectors of `dimensions`. The order of the faces does not matter.
    pub fn learn(params: &Params, dimensions: usize, faces: &[FaceVector]) -> Self {
        let mut sorted: Vec<&FaceVector> = faces.iter().filter(|face| is_usable(face, dimensions)).collect();
        if sorted.iter().any(|face| face.quality >= params.core_quality) {
            sorted.retain(|face| face.quality >= params.core_quality);
        }
        // Ids are digests: their order is a random one that is the same each time.
        sorted.sort_by_key(|face| face.id);
        sorted.dedup_by_key(|face| face.id);
        let mut cohort: Vec<f32> = Vec::new();
        let mut strangers = 0;
        for face in sorted.iter().take(CANDIDATES) {
            if cohort.chunks_exact(dimensions).all(|other| dot(other, &face.embedding) < params.sure) {
                cohort.extend_from_slice(&face.embedding);
                strangers += 1;
            }
            if strangers == COHORT {
                break;
            }
        }
        let whitening = Whitening::learn(dimensions, &cohort);
        let cohort: Vec<f32> = cohort.chunks_exact(dimensions).flat_map(|vector| whitening.apply(vector)).collect();
        let share = strangers as f64 / (strangers as f64 + POOLED);
        let (mean, deviation) = between(&cohort, dimensions).unwrap_or_default();
        let pooled = |own: f64, pack: f32| share * own + (1.0 - share) * f64::from(pack);
        let people = (faces.len() as f64 / FACES_OF_A_PERSON).max(FEWEST_PEOPLE);
        Self {
            whitening,
            cohort,
            mean: pooled(mean, params.strangers_mean),
            deviation: pooled(deviation, params.strangers_deviation),
            height: largest(RANKS.0, RANKS.1, people),
            sure: params.sure,
            faces: faces.len(),
        }
    }

    /// The length of a vector.
    pub fn dimensions(&self) -> usize {
        self.whitening.dimensions()
    }

    /// Number of strangers in the cohort.
    pub(crate) fn strangers(&self) -> usize {
        self.cohort.len() / self.dimensions().max(1)
    }

    /// Whether a library of `faces` has outgrown it, or has shrunk below it.
    pub(crate) fn is_stale(&self, faces: usize) -> bool {
        faces > 2 * self.faces.max(32) || faces < self.faces / 2
    }

    /// The calibrated unit vectors of faces and the level that strangers of each reach. A vector that is not finite
    /// becomes nought, which is like no other.
    pub(crate) fn apply(&self, embeddings: &[&[f32]]) -> Vec<(Vec<f32>, f32)> {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let part = embeddings.len().div_ceil(threads).max(64);
        if embeddings.len() <= part {
            return self.apply_here(embeddings);
        }
        std::thread::scope(|scope| {
            let parts: Vec<_> =
                embeddings.chunks(part).map(|part| scope.spawn(move || self.apply_here(part))).collect();
            parts.into_iter().zip(embeddings.chunks(part)).fold(Vec::new(), |mut all, (thread, part)| {
                all.extend(thread.join().unwrap_or_else(|_| self.apply_here(part)));
                all
            })
        })
    }

    fn apply_here(&self, embeddings: &[&[f32]]) -> Vec<(Vec<f32>, f32)> {
        let mut similarities = Vec::with_capacity(self.cohort.len() / self.dimensions().max(1));
        let one = |embedding: &&[f32]| {
            if !embedding.iter().all(|v| v.is_finite()) {
                return (vec![0.0; self.dimensions()], self.level(&mut []));
            }
            let vector = self.whitening.apply(embedding);
            similarities.clear();
            similarities.extend(self.cohort.chunks_exact(self.dimensions()).map(|other| dot(other, &vector)));
            // Who is this near may be the same person.
            similarities.retain(|similarity| *similarity < self.sure);
            let level = self.level(&mut similarities);
            (vector, level)
        };
        embeddings.iter().map(one).collect()
    }

    /// The level that the nearest strangers of a face reach, from its similarities to the cohort.
    fn level(&self, strangers: &mut [f32]) -> f32 {
        let n = strangers.len();
        let (mean, deviation) = match n {
            0 | 1 => (self.mean, self.deviation),
            _ if n < RANKED => self.moments(strangers),
            _ => ranks(strangers),
        };
        let share = n as f64 / (n as f64 + OWN);
        let mean = share * mean + (1.0 - share) * self.mean;
        let variance = share * deviation * deviation + (1.0 - share) * self.deviation * self.deviation;
        (mean + self.height * variance.sqrt()) as f32
    }

    /// Mean and deviation of a few strangers. The nearest is left out where it stands alone: it is the same person,
    /// unrecognised.
    fn moments(&self, strangers: &mut [f32]) -> (f64, f64) {
        strangers.sort_unstable_by(f32::total_cmp);
        let Some((nearest, rest)) = strangers.split_last().filter(|(_, rest)| rest.len() > 2) else {
            return moments(strangers);
        };
        let (mean, deviation) = moments(rest);
        let is_alone = f64::from(*nearest) > mean + ALONE * deviation.max(self.deviation);
        if is_alone { (mean, deviation) } else { moments(strangers) }
    }
}

fn is_usable(face: &FaceVector, dimensions: usize) -> bool {
    face.embedding.len() == dimensions && face.embedding.iter().all(|v| v.is_finite())
}

/// Mean and deviation of the similarities between the vectors of a cohort; `None` where there are fewer than two.
fn between(cohort: &[f32], dimensions: usize) -> Option<(f64, f64)> {
    let vectors: Vec<&[f32]> = cohort.chunks_exact(dimensions).collect();
    let (mut sum, mut squares, mut pairs) = (0.0, 0.0, 0.0);
    for (n, one) in vectors.iter().enumerate() {
        for other in &vectors[..n] {
            let similarity = f64::from(dot(one, other));
            sum += similarity;
            squares += similarity * similarity;
            pairs += 1.0;
        }
    }
    let mean: f64 = sum / pairs;
    (pairs > 0.0).then(|| (mean, (squares / pairs - mean * mean).max(0.0).sqrt()))
}

/// Mean and sample deviation.
fn moments(values: &[f32]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().map(|v| f64::from(*v)).sum::<f64>() / n;
    let squares: f64 = values.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum();
    (mean, (squares / (n - 1.0).max(1.0)).sqrt())
}

/// The median, and the deviation of the normal distribution that has it and the values around the [`NEAREST`] rank.
/// The very nearest are left out: they may be the same person unrecognised.
fn ranks(values: &mut [f32]) -> (f64, f64) {
    let n = values.len();
    let rank = ((NEAREST * n as f64).round() as usize).max(2);
    let (from, to) = ((rank / 2).max(1), (rank + rank / 2).max(rank / 2 + 2).min(n - 1));
    let descending = |a: &f32, b: &f32| b.total_cmp(a);
    let (upper, median, _) = values.select_nth_unstable_by(n / 2, descending);
    let median = f64::from(*median);
    let (near, _, _) = upper.select_nth_unstable_by(to.min(upper.len() - 1), descending);
    near.sort_unstable_by(descending);
    let near = &near[from.min(near.len() - 1)..];
    let top = near.iter().map(|v| f64::from(*v)).sum::<f64>() / near.len() as f64;
    let spread: f64 = (from..from + near.len()).map(|k| upper_quantile((k as f64 + 0.5) / n as f64)).sum();
    (median, ((top - median) / (spread / near.len() as f64)).max(0.0))
}
