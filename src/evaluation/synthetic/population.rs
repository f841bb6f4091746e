//! The space of face vectors: the region of young and of adult people, and the distance of a photo
//! from its person.
//!
//! The figures were fitted to pairs of photos of 1,007 people, young and adult, with the pack
//! `open`; a test has the table. Strangers resemble each other more within a population than
//! across; children most of all, because they share few looks. The face of a child changes, so a
//! child has stages.

use super::random::RandomSource;

/// Length of the vectors, which is that of the pack `open`.
pub(super) const DIMENSIONS: usize = 128;
/// Share of photos in which the face is turned away.
const TURNED: f32 = 0.06;
/// Share of the square of a turned face's vector that only says that it is turned, and nothing of
/// the person.
const TURNED_SHARE: f32 = 0.18;
/// Factor by which a turned face keeps less of its person than one that looks at the camera.
const TURNED_KEEPS: f32 = 0.6;
/// Correlation of the embeddings of two shots of one moment, without the part that comes from the
/// person.
const MOMENT_SHARES: f32 = 0.9;

/// The age of a person in a photo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Age {
    Young,
    Grown,
}

/// The figures of a population. The squares of the lengths add up to 1.
struct PopulationFigures {
    /// Square of the length of the mean of all its faces, which is the mean similarity of
    /// strangers.
    mean: f32,
    /// Number of looks, and (`look`) the additional similarity of two people who share one.
    looks: usize,
    look: f32,
    /// Participation ratio of the axes along which its people differ.
    spread: f32,
    /// Share of its person that a photo keeps: parameters of a beta distribution.
    keeps: [f32; 2],
    /// Similarity of each stage to what the person is at all ages.
    stages: &'static [f32],
}

const YOUNG: PopulationFigures =
    PopulationFigures { mean: 0.143, looks: 8, look: 0.17, spread: 58.0, keeps: [1.25, 0.25], stages: &[0.46, 0.72] };
const GROWN: PopulationFigures =
    PopulationFigures { mean: 0.096, looks: 5, look: 0.07, spread: 125.0, keeps: [3.5, 0.88], stages: &[1.0] };
/// Mean similarity of a young and an adult stranger.
const ACROSS: f32 = 0.07;
/// Similarity of a child's stages in what the adult has no longer.
const YOUTH: f32 = 0.36;
/// Probability that a stage has the look of the first stage.
const LOOK_STAYS: f32 = 0.32;

/// A population in the space.
struct Population {
    mean: Vec<f32>,
    looks: Vec<Vec<f32>>,
    /// Standard deviation along each axis; the squares add up to 1.
    scales: Vec<f32>,
    figures: &'static PopulationFigures,
}

/// A person at one stage of life.
#[derive(Clone)]
struct LifeStage {
    identity: Vec<f32>,
    look: usize,
}

/// A person at all stages of life.
pub(super) struct SyntheticPerson {
    young: Vec<LifeStage>,
    grown: Vec<LifeStage>,
}

/// A photo of a face, before it becomes a vector.
pub(super) struct FaceShot {
    age: Age,
    stage: usize,
    turned: bool,
    kept: f32,
    noise: Vec<f32>,
}

/// Populations of young and of grown people, in one space of embeddings.
pub(super) struct FaceSpace {
    young: Population,
    grown: Population,
    turned: Vec<f32>,
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

fn scaled(vector: &[f32], by: f32) -> Vec<f32> {
    vector.iter().map(|v| v * by).collect()
}

/// Returns a vector plus a multiple of another.
fn plus(a: &[f32], b: &[f32], times: f32) -> Vec<f32> {
    a.iter().zip(b).map(|(x, y)| x + y * times).collect()
}

fn unit(vector: &[f32]) -> Vec<f32> {
    scaled(vector, 1.0 / dot(vector, vector).sqrt())
}

/// Mixes `share` of one vector with as much of another that the variance stays the same.
fn mixed(one: &[f32], share: f32, other: &[f32]) -> Vec<f32> {
    plus(&scaled(one, share), other, (1.0 - share * share).sqrt())
}

/// Returns standard deviations along the axes, by a power law whose participation ratio is
/// `spread`.
fn scales(spread: f32) -> Vec<f32> {
    let law = |exponent: f32| {
        let powers: Vec<f32> = (1..=DIMENSIONS).map(|axis| (axis as f32).powf(-exponent)).collect();
        let sum: f32 = powers.iter().sum();
        scaled(&powers, 1.0 / sum)
    };
    let (mut low, mut high) = (0.0, 2.0);
    for _ in 0..40 {
        let middle = (low + high) / 2.0;
        let variances = law(middle);
        if 1.0 / dot(&variances, &variances) > spread { low = middle } else { high = middle }
    }
    law(low).into_iter().map(f32::sqrt).collect()
}

impl Population {
    fn new(figures: &'static PopulationFigures, mean: Vec<f32>, axes: &[Vec<f32>]) -> Self {
        let count = figures.looks as f32;
        let center = axes.iter().fold(vec![0.0; DIMENSIONS], |sum, axis| plus(&sum, axis, 1.0 / count));
        let length = (figures.look * count / (count - 1.0)).sqrt();
        let looks = axes.iter().map(|axis| scaled(&plus(axis, &center, -1.0), length)).collect();
        Self { mean, looks, scales: scales(figures.spread), figures }
    }

    fn person(&self, random: &mut RandomSource, always: &[f32]) -> Vec<LifeStage> {
        let youth = random.normal(DIMENSIONS);
        let first = random.below(self.looks.len());
        let stages = self.figures.stages.iter().enumerate();
        stages
            .map(|(at, alike)| {
                let own = mixed(&youth, YOUTH, &random.normal(DIMENSIONS));
                let stays = at == 0 || random.chance(LOOK_STAYS);
                let look = if stays { first } else { random.below(self.looks.len()) };
                LifeStage { identity: mixed(always, *alike, &own), look }
            })
            .collect()
    }
}

impl FaceSpace {
    pub(super) fn new(random: &mut RandomSource) -> Self {
        let mut axes: Vec<Vec<f32>> = Vec::new();
        while axes.len() < 3 + YOUNG.looks + GROWN.looks {
            let fresh = random.normal(DIMENSIONS);
            let fresh = axes.iter().fold(fresh, |left, axis| plus(&left, axis, -dot(&left, axis)));
            axes.push(unit(&fresh));
        }
        let grown = scaled(&axes[0], GROWN.mean.sqrt());
        let shared = ACROSS / GROWN.mean.sqrt();
        let young = plus(&scaled(&axes[0], shared), &axes[1], (YOUNG.mean - shared * shared).sqrt());
        let (young_looks, grown_looks) = axes[3..].split_at(YOUNG.looks);
        Self {
            young: Population::new(&YOUNG, young, young_looks),
            grown: Population::new(&GROWN, grown, grown_looks),
            turned: scaled(&axes[2], TURNED_SHARE.sqrt()),
        }
    }

    fn population(&self, age: Age) -> &Population {
        match age {
            Age::Young => &self.young,
            Age::Grown => &self.grown,
        }
    }

    pub(super) fn person(&self, random: &mut RandomSource) -> SyntheticPerson {
        let always = random.normal(DIMENSIONS);
        SyntheticPerson { young: self.young.person(random, &always), grown: self.grown.person(random, &always) }
    }

    /// Draws a photo of a person at an age, at a new moment.
    pub(super) fn shot(&self, random: &mut RandomSource, age: Age) -> FaceShot {
        let figures = self.population(age).figures;
        let turned = random.chance(TURNED);
        let kept = random.beta(figures.keeps).max(0.05) * if turned { TURNED_KEEPS } else { 1.0 };
        FaceShot { age, stage: random.below(figures.stages.len()), turned, kept, noise: random.normal(DIMENSIONS) }
    }

    /// Draws another photo of the same moment.
    pub(super) fn again(&self, random: &mut RandomSource, shot: &FaceShot) -> FaceShot {
        let noise = mixed(&shot.noise, MOMENT_SHARES, &random.normal(DIMENSIONS));
        FaceShot { noise, ..*shot }
    }

    /// Computes the vector of a face, with length 1.
    pub(super) fn vector(&self, person: &SyntheticPerson, shot: &FaceShot) -> Vec<f32> {
        let population = self.population(shot.age);
        let stages = if shot.age == Age::Young { &person.young } else { &person.grown };
        let stage = &stages[shot.stage];
        let mut mean = plus(&population.mean, &population.looks[stage.look], 1.0);
        if shot.turned {
            mean = plus(&mean, &self.turned, 1.0);
        }
        let own = mixed(&stage.identity, shot.kept, &shot.noise);
        let own: Vec<f32> = own.iter().zip(&population.scales).map(|(v, scale)| v * scale).collect();
        unit(&plus(&mean, &own, (1.0 - dot(&mean, &mean)).max(0.0).sqrt()))
    }

    /// Draws the quality, 0 to 1, that a model would measure: a photo that keeps little of its
    /// person mostly has a low one.
    pub(super) fn quality(&self, random: &mut RandomSource, shot: &FaceShot) -> f32 {
        (shot.kept + 0.15 * random.normal(1)[0]).clamp(0.02, 1.0)
    }
}
