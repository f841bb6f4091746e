//! What the faces of a cluster say together.

use crate::grouping::graph::{Graph, dot};

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

/// What the vectors of some faces sum up to.
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
    /// Over the faces in some slots.
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

    /// Takes the faces of another sum in.
    pub(crate) fn add(&mut self, other: &Self) {
        self.vector.iter_mut().zip(&other.vector).for_each(|(s, v)| *s += v);
        self.weight += other.weight;
        self.level += other.level;
        self.faces += other.faces;
    }

    /// The quality-weighted sum of the excess over all pairs with another sum's faces.
    pub(crate) fn total(&self, other: &Self) -> f32 {
        dot(&self.vector, &other.vector) - 0.5 * (self.level * other.weight + other.level * self.weight)
    }

    /// The quality-weighted mean of the excess over all pairs with another sum's faces.
    pub(crate) fn mean(&self, other: &Self) -> f32 {
        self.total(other) / (self.weight * other.weight)
    }
}
