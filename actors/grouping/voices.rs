//! Statistics over the faces of a cluster whose vectors count, its voices.

use std::cmp::Reverse;

use crate::grouping::dot::dot;
use crate::grouping::graph::Graph;
use crate::grouping::params::Params;

/// Most faces of a cluster that [`are_look_alikes`] compares: enough for a stable mean, few enough for a quick one.
const SPEAKERS: usize = 24;
/// Fewest faces on either side from which [`are_look_alikes`] can judge.
const ESTABLISHED: usize = 3;
/// Number of strangers in the cohort above which [`Params::contrast`] is raised in proportion.
const FEW_STRANGERS: f32 = 150.0;
/// The contrast of [`are_look_alikes`] is lowered by the ratio of this number to the number of pairs in the smaller
/// group, because few pairs say little.
const SMALL_SIDE: f32 = 1.5;

/// A finite number with a total order.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Score(pub f32);
impl Eq for Score {}
impl PartialOrd for Score {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Score {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

/// Returns the weight of a face in averages: its quality, but at least 0.05.
pub(crate) fn weight(graph: &Graph, slot: u32) -> f32 {
    graph.node(slot).map_or(0.0, |node| if node.quality > 0.05 { node.quality.min(1.0) } else { 0.05 })
}

/// Sums over the vectors of some faces.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sum {
    /// Quality-weighted sum of vectors.
    pub vector: Vec<f32>,
    /// Sum of the weights.
    pub weight: f32,
    /// Quality-weighted sum of levels.
    pub level: f32,
    /// Number of faces.
    pub faces: usize,
}

impl Sum {
    /// Computes the sums over the faces in some slots.
    pub(crate) fn over(graph: &Graph, slots: &[u32]) -> Self {
        let mut sum = Self { vector: vec![0.0; graph.dimensions()], weight: 0.0, level: 0.0, faces: slots.len() };
        for slot in slots {
            let w = weight(graph, *slot);
            sum.weight += w;
            sum.level += w * graph.level(*slot);
            sum.vector.iter_mut().zip(graph.vector(*slot)).for_each(|(s, v)| *s += w * v);
        }
        sum
    }

    /// Adds the sums of other faces.
    pub(crate) fn add(&mut self, other: &Self) {
        self.vector.iter_mut().zip(&other.vector).for_each(|(s, v)| *s += v);
        self.weight += other.weight;
        self.level += other.level;
        self.faces += other.faces;
    }

    /// Computes the quality-weighted sum of the excess over all pairs with the faces of another sum.
    pub(crate) fn total(&self, other: &Self) -> f32 {
        dot(&self.vector, &other.vector) - 0.5 * (self.level * other.weight + other.level * self.weight)
    }

    /// Computes the quality-weighted mean of the excess over all pairs with the faces of another sum.
    pub(crate) fn mean(&self, other: &Self) -> f32 {
        self.total(other) / (self.weight * other.weight)
    }
}

/// Returns the best faces of a cluster, best first.
pub(crate) fn speakers(graph: &Graph, mut slots: Vec<u32>) -> Vec<u32> {
    let key = |slot: &u32| graph.node(*slot).map(|node| (Reverse(Score(node.quality)), node.id));
    slots.sort_by_cached_key(key);
    slots.truncate(SPEAKERS);
    slots
}

/// Tells look-alikes from one person. Returns by how many standard deviations the similarities between two clusters lie
/// below those within them, where that is more than [`Params::contrast`] (d' of signal detection with pooled variance,
/// less where a side is small). `None` means that they may be one person: one side has too few faces, the difference is
/// too small, or the two are so similar that they are one person in any case. The more strangers the cohort has, the
/// larger the difference must be.
pub(crate) fn are_look_alikes(graph: &Graph, params: &Params, a: &[u32], b: &[u32]) -> Option<f32> {
    if a.len().min(b.len()) < ESTABLISHED {
        return None;
    }
    let within = |slots: &[u32]| {
        let pairs = slots.iter().enumerate().flat_map(|(n, x)| slots[..n].iter().map(|y| graph.similarity(*x, *y)));
        pairs.map(|similarity| similarity.min(params.near_duplicate)).collect::<Vec<f32>>()
    };
    let (mut inside, others) = (within(a), within(b));
    let pairs = inside.len().min(others.len()) as f32;
    inside.extend(others);
    let between: Vec<f32> = a.iter().flat_map(|x| b.iter().map(|y| graph.similarity(*x, *y))).collect();
    let moments = |values: &[f32]| {
        let n = values.len() as f32;
        let mean = values.iter().sum::<f32>() / n;
        (mean, values.iter().map(|v| (v - mean) * (v - mean)).sum::<f32>() / n)
    };
    let ((inner, inner_variance), (outer, outer_variance)) = (moments(&inside), moments(&between));
    let deviation = ((inner_variance + outer_variance) / 2.0).sqrt().max(1e-3);
    let contrast = (inner - outer) / deviation * (1.0 - SMALL_SIDE / pairs);
    let known = graph.calibration().strangers() / FEW_STRANGERS;
    (outer < params.sure && contrast > params.contrast * known.max(1.0)).then_some(contrast)
}
