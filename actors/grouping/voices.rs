//! What the faces of a cluster say together.

use std::cmp::Reverse;

use crate::grouping::graph::Graph;

/// Faces that speak for a cluster in [`contrast`]: enough for a stable mean, few enough for a quick one.
const SPEAKERS: usize = 24;
/// Faces that [`contrast`] needs on either side to judge.
const ESTABLISHED: usize = 3;
/// A small side says little: [`contrast`] is less by this over the number of its pairs.
const SMALL_SIDE: f32 = 1.5;

/// A finite figure with a total order.
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

/// The weight of a face in averages: its quality, never nothing.
pub(crate) fn weight(graph: &Graph, slot: u32) -> f32 {
    graph.node(slot).map_or(0.0, |node| if node.quality > 0.05 { node.quality.min(1.0) } else { 0.05 })
}

/// Quality-weighted sum of vectors, and the sum of the weights.
pub(crate) fn weighted_sum(graph: &Graph, slots: &[u32]) -> (Vec<f32>, f32) {
    let (mut sum, mut total) = (vec![0.0; graph.dimensions()], 0.0);
    for slot in slots {
        let w = weight(graph, *slot);
        total += w;
        sum.iter_mut().zip(graph.vector(*slot)).for_each(|(s, v)| *s += w * v);
    }
    (sum, total)
}

/// The best faces of a cluster, best first.
pub(crate) fn speakers(graph: &Graph, mut slots: Vec<u32>) -> Vec<u32> {
    let key = |slot: &u32| graph.node(*slot).map(|node| (Reverse(Score(node.quality)), node.id));
    slots.sort_by_cached_key(key);
    slots.truncate(SPEAKERS);
    slots
}

/// How many standard deviations the similarities between two clusters lie below those within them (d' with pooled
/// variance), less where a side is small. Shots of one moment count as `near_duplicate` and no nearer. `None` where
/// either has too few faces.
pub(crate) fn contrast(graph: &Graph, a: &[u32], b: &[u32], near_duplicate: f32) -> Option<f32> {
    if a.len().min(b.len()) < ESTABLISHED {
        return None;
    }
    let within = |slots: &[u32]| {
        let pairs = slots.iter().enumerate().flat_map(|(n, x)| slots[..n].iter().map(|y| graph.similarity(*x, *y)));
        pairs.map(|similarity| similarity.min(near_duplicate)).collect::<Vec<f32>>()
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
    Some((inner - outer) / deviation * (1.0 - SMALL_SIDE / pairs))
}
