//! Learns which similarities strangers reach, in a library as a whole and for each face.
//!
//! The same similarity means different things for different faces: among children, or in a large library, strangers are
//! more alike than among few adults. So the calibration takes a cohort of a library's own strangers (one face of each
//! look), and learns two things from them. First it learns the directions in which all of them lie or spread. These
//! tell people apart less than other directions, so vectors are centred and whitened by them; with a smaller cohort the
//! effect is weaker (Ledoit & Wolf 2004 for the idea). Then it learns a level for each face: the similarity that its
//! nearest strangers reach, as in the adaptive score normalisation of speaker recognition (Matějka et al. 2017). The
//! excess of a pair is its similarity minus the mean of the levels of its two faces.

use std::panic::resume_unwind;
use std::thread::ScopedJoinHandle;

use crate::domain::gallery::FaceVector;
use crate::domain::image::digest;
use crate::grouping::dot::{dot, dots};
use crate::grouping::heap_size;
use crate::grouping::normal::largest;
use crate::grouping::params::Params;
use crate::grouping::ranks::{Weighted, moments, ranks, total};
use crate::grouping::whitening::Whitening;

/// Most strangers in the cohort.
const COHORT: usize = 2000;
/// Most faces that are examined for the cohort.
const CANDIDATES: usize = 10 * COHORT;
/// Faces whose similarities to the cohort are computed together.
const AT_ONCE: usize = 8;
/// Weight of the pack's own figures in those of a library, in measured strangers.
const POOLED: f64 = 5.0;
/// Weight of the library's figures against those of one face, in measured strangers of the face.
const OWN: f64 = 100.0;
/// Number of strangers below which a face's level comes from their mean and deviation, otherwise from their ranks.
const RANKED: f64 = 12.0;
/// If the nearest of few strangers lies this many deviations above the others, it is taken for the same person.
const ALONE: f64 = 3.0;
/// First and last rank of the nearest strangers whose mean similarity is the level.
const RANKS: (usize, usize) = (2, 22);
/// Faces that a person is assumed to have. The number of faces divided by this is the number of people among whom the
/// ranks are taken.
const FACES_OF_A_PERSON: f64 = 2.0;
/// Fewest people that are assumed, because a small library says little about how alike strangers can be.
const FEWEST_PEOPLE: f64 = 400.0;

/// A face after calibration.
pub(crate) struct Calibrated {
    /// Whitened vector of unit length, or all 0.
    pub(crate) vector: Vec<f32>,
    /// Similarity that the nearest strangers of the face reach, -1 to 1.
    pub(crate) level: f32,
    /// Positions of the members of the cohort that the face resembles most, ascending.
    pub(crate) cells: Vec<u32>,
}

/// The whitening and the similarities of strangers that were learned from a library.
#[derive(Clone, Debug)]
pub struct Calibration {
    whitening: Whitening,
    /// Whitened vectors of the cohort (n x dimensions, row-major).
    cohort: Vec<f32>,
    /// Weight of each member of the cohort: the faces of one look weigh 1 together.
    weights: Vec<f32>,
    /// Sum of the weights.
    strangers: f32,
    /// Mean and deviation of the similarity between two strangers.
    mean: f64,
    deviation: f64,
    /// Number of deviations by which the level lies above the mean.
    height: f64,
    sure: f32,
    /// Number of faces from which it was learned.
    faces: usize,
}

impl Calibration {
    /// Returns the bytes that the calibration keeps on the heap.
    pub(crate) fn heap_size(&self) -> usize {
        self.whitening.heap_size() + heap_size::vec(&self.cohort) + heap_size::vec(&self.weights)
    }

    /// Learns a calibration from faces with vectors of length `dimensions`; other vectors are ignored. The order of the
    /// faces does not matter.
    pub fn learn(params: &Params, dimensions: usize, faces: &[FaceVector]) -> Self {
        let mut sorted: Vec<&FaceVector> = faces.iter().filter(|face| is_usable(face, dimensions)).collect();
        if sorted.iter().any(|face| face.quality >= params.core_quality) {
            sorted.retain(|face| face.quality >= params.core_quality);
        }
        // This order is random, but stays the same when photos are renamed.
        sorted.sort_by_cached_key(|face| (look(&face.embedding), face.id));
        sorted.dedup_by_key(|face| face.id);
        let (cohort, weights) = match sorted.len() {
            ..=COHORT => everybody(params, &sorted),
            _ => leaders(params, dimensions, &sorted),
        };
        let strangers: f64 = weights.iter().map(|weight| f64::from(*weight)).sum();
        let whitening = Whitening::learn(dimensions, &cohort, &weights);
        let cohort: Vec<f32> =
            cohort.chunks_exact(dimensions.max(1)).flat_map(|vector| whitening.apply(vector)).collect();
        let share = strangers / (strangers + POOLED);
        let (mean, deviation) = between(&cohort, &weights, dimensions, params.sure).unwrap_or_default();
        let pooled = |own: f64, pack: f32| share * own + (1.0 - share) * f64::from(pack);
        let people = (faces.len() as f64 / FACES_OF_A_PERSON).max(FEWEST_PEOPLE);
        Self {
            whitening,
            cohort,
            weights,
            strangers: strangers as f32,
            mean: pooled(mean, params.strangers_mean),
            deviation: pooled(deviation, params.strangers_deviation),
            height: largest(RANKS.0, RANKS.1, people),
            sure: params.sure,
            faces: faces.len(),
        }
    }

    /// Returns the length of a vector.
    pub fn dimensions(&self) -> usize {
        self.whitening.dimensions()
    }

    /// Returns the number of faces in the cohort.
    pub(crate) fn members(&self) -> usize {
        self.weights.len()
    }

    /// Returns the number of strangers in the cohort: the sum of the weights.
    pub(crate) fn strangers(&self) -> f32 {
        self.strangers
    }

    /// Returns whether a library of `faces` faces has grown or shrunk so much that it needs a new calibration.
    pub(crate) fn is_stale(&self, faces: usize) -> bool {
        faces > 2 * self.faces.max(32) || faces < self.faces / 2
    }

    /// Calibrates faces, each with the `cells` members of the cohort that it resembles most. A vector that is not
    /// finite becomes all 0, which resembles no other.
    pub(crate) fn apply(&self, embeddings: &[&[f32]], cells: usize) -> Vec<Calibrated> {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let part = embeddings.len().div_ceil(threads).max(64);
        if embeddings.len() <= part {
            return self.apply_here(embeddings, cells);
        }
        std::thread::scope(|scope| {
            let parts: Vec<_> =
                embeddings.chunks(part).map(|part| scope.spawn(move || self.apply_here(part, cells))).collect();
            let join = |thread: ScopedJoinHandle<'_, _>| thread.join().unwrap_or_else(|panic| resume_unwind(panic));
            parts.into_iter().flat_map(join).collect()
        })
    }

    fn apply_here(&self, embeddings: &[&[f32]], cells: usize) -> Vec<Calibrated> {
        let (mut similarities, mut strangers) = (Vec::new(), Vec::with_capacity(self.weights.len()));
        let mut applied = Vec::with_capacity(embeddings.len());
        for few in embeddings.chunks(AT_ONCE) {
            let vectors: Vec<Vec<f32>> = few.iter().map(|embedding| self.whitened(embedding)).collect();
            dots(&self.cohort, &vectors.concat(), self.dimensions(), &mut similarities);
            for (n, vector) in vectors.into_iter().enumerate() {
                let row = &similarities[n * self.weights.len()..][..self.weights.len()];
                strangers.clear();
                if vector.iter().any(|v| *v != 0.0) {
                    let all = row.iter().zip(&self.weights);
                    // A face that is this near may be of the same person.
                    strangers.extend(all.filter(|(s, _)| **s < self.sure).map(|(s, weight)| (*s, *weight)));
                }
                applied.push(Calibrated { vector, level: self.level(&mut strangers), cells: likest(row, cells) });
            }
        }
        applied
    }

    fn whitened(&self, embedding: &[f32]) -> Vec<f32> {
        match embedding.iter().all(|v| v.is_finite()) {
            true => self.whitening.apply(embedding),
            false => vec![0.0; self.dimensions()],
        }
    }

    /// Computes a face's level from its similarities to the cohort and their weights.
    fn level(&self, strangers: &mut [Weighted]) -> f32 {
        let n = total(strangers);
        let (mean, deviation) = match n {
            ..2.0 => (self.mean, self.deviation),
            ..RANKED => self.moments(strangers, n),
            _ => ranks(strangers, n),
        };
        let share = n / (n + OWN);
        let mean = share * mean + (1.0 - share) * self.mean;
        let variance = share * deviation * deviation + (1.0 - share) * self.deviation * self.deviation;
        (mean + self.height * variance.sqrt()) as f32
    }

    /// Computes mean and deviation of few strangers. The nearest is left out where it is far above the others, because
    /// it is probably the same person.
    fn moments(&self, strangers: &mut [Weighted], n: f64) -> (f64, f64) {
        strangers.sort_unstable_by(|(a, _), (b, _)| b.total_cmp(a));
        let Some(((nearest, weight), rest)) = strangers.split_first().filter(|(_, rest)| rest.len() > 2) else {
            return moments(strangers, n);
        };
        let (mean, deviation) = moments(rest, n - f64::from(*weight));
        let is_alone = f64::from(*nearest) > mean + ALONE * deviation.max(self.deviation);
        if is_alone { (mean, deviation) } else { moments(strangers, n) }
    }
}

/// Returns the positions of the `count` largest values, ascending.
fn likest(values: &[f32], count: usize) -> Vec<u32> {
    let mut all: Vec<u32> = (0..if count == 0 { 0 } else { values.len() as u32 }).collect();
    if count < all.len() {
        let value = |n: &u32| values[*n as usize];
        all.select_nth_unstable_by(count, |a, b| value(b).total_cmp(&value(a)).then(a.cmp(b)));
        all.truncate(count);
        all.sort_unstable();
    }
    all
}

/// Returns the vectors of all faces, and weights by which the faces of one look weigh 1 together.
fn everybody(params: &Params, faces: &[&FaceVector]) -> (Vec<f32>, Vec<f32>) {
    let weight = |one: &&FaceVector| {
        let alike = faces.iter().filter(|other| dot(&one.embedding, &other.embedding) >= params.sure).count();
        1.0 / alike.max(1) as f32
    };
    (faces.iter().flat_map(|face| &face.embedding).copied().collect(), faces.iter().map(weight).collect())
}

/// Returns the vectors of one face of each look, in the order of the faces, each with weight 1.
fn leaders(params: &Params, dimensions: usize, faces: &[&FaceVector]) -> (Vec<f32>, Vec<f32>) {
    let mut cohort: Vec<f32> = Vec::new();
    for face in faces.iter().take(CANDIDATES) {
        if cohort.chunks_exact(dimensions.max(1)).all(|other| dot(other, &face.embedding) < params.sure) {
            cohort.extend_from_slice(&face.embedding);
        }
        if cohort.len() == COHORT * dimensions {
            break;
        }
    }
    let weights = vec![1.0; cohort.len() / dimensions.max(1)];
    (cohort, weights)
}

/// Computes a digest of a vector that the small rounding differences between batches rarely change.
fn look(embedding: &[f32]) -> [u8; 16] {
    let coarse: Vec<u8> = embedding.iter().map(|v| (v * 64.0).round() as i8 as u8).collect();
    digest("look", &[&coarse])
}

fn is_usable(face: &FaceVector, dimensions: usize) -> bool {
    face.embedding.len() == dimensions && face.embedding.iter().all(|v| v.is_finite())
}

/// Computes mean and deviation of the similarities between vectors of a cohort that are not of one look; `None` where
/// there are no such pairs.
fn between(cohort: &[f32], weights: &[f32], dimensions: usize, sure: f32) -> Option<(f64, f64)> {
    let (mut sum, mut squares, mut pairs) = (0.0, 0.0, 0.0);
    let mut similarities = Vec::new();
    for (n, (one, weight)) in cohort.chunks_exact(dimensions.max(1)).zip(weights).enumerate() {
        dots(&cohort[..n * dimensions], one, dimensions, &mut similarities);
        for (&similarity, its_weight) in similarities.iter().zip(weights) {
            if similarity < sure {
                let (similarity, weight) = (f64::from(similarity), f64::from(weight * its_weight));
                sum += weight * similarity;
                squares += weight * similarity * similarity;
                pairs += weight;
            }
        }
    }
    let mean: f64 = sum / pairs;
    (pairs > 0.0).then(|| (mean, (squares / pairs - mean * mean).max(0.0).sqrt()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grouping::tests::{Rng, face, near};

    #[test]
    fn the_order_of_faces_and_their_ids_do_not_matter() {
        let mut rng = Rng(11);
        let mut faces: Vec<_> = (0..300).map(|n| face(n, n, rng.direction(32), 0.9)).collect();
        let learned = |faces: &[FaceVector]| format!("{:?}", Calibration::learn(&Params::default(), 32, faces));
        let first = learned(&faces);
        rng.shuffle(&mut faces);
        faces.iter_mut().for_each(|face| face.id.0.reverse());
        assert_eq!(learned(&faces), first);
    }

    #[test]
    fn faces_among_look_alikes_have_a_higher_level() {
        let mut rng = Rng(12);
        let common = rng.direction(64);
        let mut faces: Vec<_> = (0..400).map(|n| face(n, n, near(&mut rng, &common, 0.3), 0.9)).collect();
        faces.extend((400..800).map(|n| face(n, n, rng.direction(64), 0.9)));
        let calibration = Calibration::learn(&Params::default(), 64, &faces);
        let level = |face: &FaceVector| calibration.apply(&[&face.embedding], 0)[0].level;
        let mean = |faces: &[FaceVector]| faces.iter().map(level).sum::<f32>() / faces.len() as f32;
        let (alike, others) = (mean(&faces[..400]), mean(&faces[400..]));
        assert!(alike > others + 0.03, "{alike} among look-alikes, {others} among others");
    }

    #[test]
    fn a_few_strangers_are_told_from_the_same_person() {
        let calibration = Calibration::learn(&Params::default(), 8, &[]);
        let few =
            |nearest: f32| calibration.level(&mut [(nearest, 1.0), (0.1, 1.0), (0.05, 1.0), (0.0, 1.0), (-0.1, 1.0)]);
        assert!((few(0.6) - few(-0.2)).abs() < 0.02, "what stands alone is no stranger");
        assert!(few(0.25) > few(0.1), "what does not is one");
    }

    #[test]
    fn nothing_to_learn_from_is_no_error() {
        for (dimensions, faces) in
            [(0, vec![face(0, 0, Vec::new(), 0.9)]), (4, vec![face(0, 0, vec![f32::NAN; 4], 0.9)])]
        {
            assert_eq!(Calibration::learn(&Params::default(), dimensions, &faces).dimensions(), dimensions);
        }
    }
}
