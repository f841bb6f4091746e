//! Average linkage joins the two clusters with the highest mean similarity over all pairs of their
//! faces.
//!
//! Sokal & Michener, "A statistical method for evaluating systematic relationships", 1958 (UPGMA);
//! by chains of nearest neighbours, in O(n²): Murtagh, "A survey of recent advances in hierarchical
//! clustering algorithms", 1983.

use super::union::UnionFind;
use super::{Peer, Similarities, gather};
use crate::Groups;

/// The setting of average linkage.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AverageLinkage {
    /// Cosine similarity: clusters join at this mean or more.
    pub threshold: f32,
}

impl Peer for AverageLinkage {
    const NAME: &'static str = "Average linkage";

    /// Returns the model's threshold.
    fn defaults(threshold: f32) -> Self {
        Self { threshold }
    }

    fn grid() -> Vec<Self> {
        super::steps(0.28, 0.70, 22).map(|threshold| Self { threshold }).collect()
    }

    fn setting(&self) -> String {
        format!("cosine {:.2}", self.threshold)
    }

    fn group(&self, similarities: &Similarities) -> Groups {
        cut(&joins(similarities, self.threshold), similarities.len(), self.threshold)
    }

    fn group_each(settings: &[Self], similarities: &Similarities) -> Vec<Groups> {
        let least = settings.iter().map(|setting| setting.threshold).fold(f32::INFINITY, f32::min);
        let joins = joins(similarities, least);
        settings.iter().map(|setting| cut(&joins, similarities.len(), setting.threshold)).collect()
    }
}

/// A join of two clusters, each named by one of its faces.
struct Merge {
    one: usize,
    other: usize,
    similarity: f32,
}

/// Returns the groups after all joins at a threshold or above it.
fn cut(joins: &[Merge], count: usize, threshold: f32) -> Groups {
    let mut sets = UnionFind::new(count);
    let kept = joins.iter().filter(|join| join.similarity >= threshold);
    kept.for_each(|join| sets.join(join.one, join.other));
    gather((0..count).map(|face| Some(sets.find(face))))
}

/// Returns all joins with a mean similarity of `least` or more, in no particular order.
fn joins(similarities: &Similarities, least: f32) -> Vec<Merge> {
    let count = similarities.len();
    let mut values = similarities.clone().into_values();
    let mut sizes = vec![1.0_f32; count];
    let mut alive: Vec<usize> = (0..count).collect();
    let (mut joins, mut chain) = (Vec::new(), Vec::<usize>::new());
    while let Some(first) = alive.first() {
        if chain.is_empty() {
            chain.push(*first);
        }
        let tip = chain[chain.len() - 1];
        // The previous cluster of the chain wins a tie, so that chains end.
        let before = chain.len().checked_sub(2).map(|at| chain[at]);
        let row = &values[tip * count..][..count];
        let mut best = before.map(|before| (row[before], before));
        for other in alive.iter().copied().filter(|other| *other != tip) {
            if best.is_none_or(|(similarity, _)| row[other] > similarity) {
                best = Some((row[other], other));
            }
        }
        match best.filter(|(similarity, _)| *similarity >= least) {
            // No pair will ever be near enough, because a mean is never greater than its terms.
            None => {
                alive.retain(|cluster| *cluster != tip);
                chain.pop();
            }
            Some((similarity, other)) if before == Some(other) => {
                chain.truncate(chain.len() - 2);
                joins.push(Merge { one: tip, other, similarity });
                alive.retain(|cluster| *cluster != other);
                merge(&mut values, count, &alive, tip, other, &sizes);
                sizes[tip] += sizes[other];
            }
            Some((_, other)) => chain.push(other),
        }
    }
    joins
}

/// Merges the mean similarities of two clusters into the row of the first.
fn merge(values: &mut [f32], count: usize, alive: &[usize], into: usize, from: usize, sizes: &[f32]) {
    let (one, other) = (sizes[into] / (sizes[into] + sizes[from]), sizes[from] / (sizes[into] + sizes[from]));
    for cluster in alive.iter().copied().filter(|cluster| *cluster != into) {
        let (x, y) = (values[into * count + cluster], values[from * count + cluster]);
        // Rounding must not make a mean greater than both terms, or a chain could meet itself.
        let mean = (one * x + other * y).min(x.max(y));
        values[into * count + cluster] = mean;
        values[cluster * count + into] = mean;
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{circle, shown};
    use super::*;

    /// The likest two clusters join first, from scratch at every step.
    fn plain(similarities: &Similarities, threshold: f32) -> Groups {
        let mut groups: Groups = (0..similarities.len()).map(|face| vec![face]).collect();
        loop {
            let mean = |a: &[usize], b: &[usize]| {
                let sum: f32 = a.iter().flat_map(|one| b.iter().map(|other| similarities.row(*one)[*other])).sum();
                sum / (a.len() * b.len()) as f32
            };
            let pairs = (0..groups.len()).flat_map(|a| (0..a).map(move |b| (a, b)));
            let best = pairs.map(|(a, b)| (mean(&groups[a], &groups[b]), a, b)).max_by(|a, b| a.0.total_cmp(&b.0));
            let Some((_, a, b)) = best.filter(|(mean, ..)| *mean >= threshold) else { return shown(groups) };
            let gone = groups.swap_remove(a);
            groups[b].extend(gone);
        }
    }

    #[test]
    fn chains_of_nearest_neighbours_give_what_joining_the_likest_gives() {
        let degrees: Vec<f32> = (0..60).map(|n| ((n * n * 37 + n * 11) % 3571) as f32 / 10.0).collect();
        let faces = circle(&degrees);
        for threshold in [0.2, 0.5, 0.8, 0.95, 0.999] {
            let linkage = AverageLinkage { threshold };
            assert_eq!(shown(linkage.group(&faces)), plain(&faces, threshold), "{threshold}");
        }
    }

    #[test]
    fn the_mean_decides_and_not_the_nearest_pair() {
        // 0° and 10° are one, so are 20° and 30°; the pairs between them have a mean near 20°.
        let faces = circle(&[0.0, 10.0, 20.5, 30.5]);
        let at = |degrees: f32| shown(AverageLinkage { threshold: degrees.to_radians().cos() }.group(&faces));
        assert_eq!(at(15.0), [[0, 1], [2, 3]]);
        assert_eq!(at(25.0), [[0, 1, 2, 3]]);
    }
}
