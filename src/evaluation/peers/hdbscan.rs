//! HDBSCAN: among the clusters that DBSCAN would find at any distance, it takes those that persist
//! longest.
//!
//! Campello, Moulavi & Sander, "Density-based clustering based on hierarchical density estimates",
//! PAKDD 2013, with the condensed tree and the excess of mass of McInnes & Healy, "Accelerated
//! hierarchical density based clustering", 2017. Distances are Euclidean, as by default in their
//! program. The whole library never becomes one cluster.

use super::union::UnionFind;
use super::{Peer, Similarities, gather};
use crate::Groups;

/// Least distance between two faces. Smaller distances are mostly rounding errors, and copies would
/// otherwise be infinitely dense.
const LEAST_DISTANCE: f32 = 1e-3;

/// HDBSCAN's settings.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hdbscan {
    /// Least number of faces in a cluster.
    pub min_cluster_size: usize,
    /// Number of faces, itself included, whose distance gives the density of a face (the core
    /// distance).
    pub min_samples: usize,
}

impl Peer for Hdbscan {
    const NAME: &'static str = "HDBSCAN";

    /// Returns the program's defaults: 5 for both.
    fn defaults(_: f32) -> Self {
        Self { min_cluster_size: 5, min_samples: 5 }
    }

    fn grid() -> Vec<Self> {
        let sizes = [2, 3, 4, 5];
        let settings = sizes.map(|size| [1, 2, 3, 5].map(|samples| (size, samples)));
        let settings = settings.into_iter().flatten();
        settings.map(|(min_cluster_size, min_samples)| Self { min_cluster_size, min_samples }).collect()
    }

    fn setting(&self) -> String {
        format!("min. size {}, samples {}", self.min_cluster_size, self.min_samples)
    }

    fn group(&self, similarities: &Similarities) -> Groups {
        if similarities.len() < 2 {
            return Groups::new();
        }
        let tree = Dendrogram::of(spanning_tree(similarities, self.min_samples), similarities.len());
        CondensedTree::of(&tree, self.min_cluster_size.max(2)).groups()
    }
}

fn distance(similarity: f32) -> f32 {
    (2.0 - 2.0 * similarity).max(0.0).sqrt().max(LEAST_DISTANCE)
}

/// An edge of the spanning tree: its mutual reachability, and its two ends.
type Edge = (f32, usize, usize);

/// Builds a minimum spanning tree over mutual reachabilities (Prim 1957), with its edges ascending.
fn spanning_tree(similarities: &Similarities, min_samples: usize) -> Vec<Edge> {
    let count = similarities.len();
    let nth = min_samples.clamp(1, count) - 1;
    let core: Vec<f32> = (0..count)
        .map(|face| {
            let mut row = similarities.row(face).to_vec();
            let (_, similarity, _) = row.select_nth_unstable_by(nth, |a, b| b.total_cmp(a));
            distance(*similarity)
        })
        .collect();
    let mut nearest = vec![(f32::INFINITY, 0); count];
    let mut left: Vec<usize> = (1..count).collect();
    let mut edges = Vec::with_capacity(count - 1);
    let mut newest = 0;
    while !left.is_empty() {
        let row = similarities.row(newest);
        let mut best = (f32::INFINITY, 0);
        for (at, face) in left.iter().enumerate() {
            let reach = distance(row[*face]).max(core[newest]).max(core[*face]);
            if reach < nearest[*face].0 {
                nearest[*face] = (reach, newest);
            }
            if nearest[*face].0 < best.0 {
                best = (nearest[*face].0, at);
            }
        }
        newest = left.remove(best.1);
        edges.push((best.0, nearest[newest].1, newest));
    }
    edges.sort_by(|a, b| a.0.total_cmp(&b.0));
    edges
}

/// The dendrogram of single linkage: faces are the nodes 0 to n - 1, joins are the nodes after
/// them, and the last node is the root.
struct Dendrogram {
    count: usize,
    joins: Vec<(f32, [usize; 2])>,
    sizes: Vec<usize>,
}

impl Dendrogram {
    fn of(edges: Vec<Edge>, count: usize) -> Self {
        let mut sets = UnionFind::new(count);
        let mut nodes: Vec<usize> = (0..count).collect();
        let mut sizes = vec![1; count];
        let mut joins = Vec::with_capacity(edges.len());
        for (distance, one, other) in edges {
            let children = [nodes[sets.find(one)], nodes[sets.find(other)]];
            sets.join(one, other);
            nodes[sets.find(one)] = sizes.len();
            sizes.push(sizes[children[0]] + sizes[children[1]]);
            joins.push((distance, children));
        }
        Self { count, joins, sizes }
    }

    /// Returns the distance at which a node splits, and its parts; `None` for a face.
    fn split(&self, node: usize) -> Option<(f32, [usize; 2])> {
        node.checked_sub(self.count).map(|at| self.joins[at])
    }

    fn faces(&self, node: usize, mut take: impl FnMut(usize)) {
        let mut below = vec![node];
        while let Some(node) = below.pop() {
            match self.split(node) {
                Some((_, children)) => below.extend(children),
                None => take(node),
            }
        }
    }
}

/// A cluster of the condensed tree. Density is the inverse of distance.
struct CondensedCluster {
    parent: usize,
    birth: f64,
    stability: f64,
}

/// The dendrogram without splits into parts that are too small for a cluster. Cluster 0 is the
/// whole library; parents precede their children.
struct CondensedTree {
    clusters: Vec<CondensedCluster>,
    /// The last cluster to which each face belonged.
    last: Vec<usize>,
}

impl CondensedTree {
    fn of(tree: &Dendrogram, min_cluster_size: usize) -> Self {
        let mut clusters = vec![CondensedCluster { parent: 0, birth: 0.0, stability: 0.0 }];
        let mut last = vec![0; tree.count];
        let mut open = vec![(tree.sizes.len() - 1, 0)];
        while let Some((node, cluster)) = open.pop() {
            let Some((distance, children)) = tree.split(node) else { continue };
            let density = 1.0 / f64::from(distance);
            let gained = density - clusters[cluster].birth;
            let large = children.map(|child| tree.sizes[child] >= min_cluster_size);
            for (child, is_large) in children.into_iter().zip(large) {
                if is_large && large != [true, true] {
                    open.push((child, cluster));
                    continue;
                }
                clusters[cluster].stability += gained * tree.sizes[child] as f64;
                if is_large {
                    open.push((child, clusters.len()));
                    clusters.push(CondensedCluster { parent: cluster, birth: density, stability: 0.0 });
                } else {
                    tree.faces(child, |face| last[face] = cluster);
                }
            }
        }
        Self { clusters, last }
    }

    /// Returns the clusters that together are most stable, none of them within another.
    fn groups(&self) -> Groups {
        let mut below = vec![0.0; self.clusters.len()];
        let mut better = vec![false; self.clusters.len()];
        for (at, cluster) in self.clusters.iter().enumerate().skip(1).rev() {
            better[at] = cluster.stability >= below[at];
            below[cluster.parent] += cluster.stability.max(below[at]);
        }
        let mut chosen: Vec<Option<usize>> = vec![None; self.clusters.len()];
        for at in 1..self.clusters.len() {
            chosen[at] = chosen[self.clusters[at].parent].or(better[at].then_some(at));
        }
        gather(self.last.iter().map(|cluster| chosen[*cluster]))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{circle, shown};
    use super::*;

    #[test]
    fn the_tree_joins_by_mutual_reachability() {
        // Chords of 1° and of 3°; with three samples a face is as dense as its second neighbour is
        // near.
        let faces = circle(&[0.0, 1.0, 2.0, 5.0]);
        let chord = |degrees: f32| 2.0 * (degrees / 2.0).to_radians().sin();
        let near = |edges: Vec<Edge>, expected: [f32; 3]| {
            for ((distance, ..), degrees) in edges.iter().zip(expected) {
                assert!((distance - chord(degrees)).abs() < 1e-3, "{edges:?}");
            }
        };
        near(spanning_tree(&faces, 1), [1.0, 1.0, 3.0]);
        near(spanning_tree(&faces, 3), [2.0, 2.0, 4.0]);
    }

    #[test]
    fn two_dense_pairs_persist_longer_than_the_four_together() {
        let faces = circle(&[0.0, 1.0, 60.0, 61.0, 150.0, 152.0, 250.0]);
        let setting = Hdbscan { min_cluster_size: 2, min_samples: 1 };
        assert_eq!(shown(setting.group(&faces)), [[0, 1], [2, 3], [4, 5]]);
        // Nearer pairs are one cluster: what they gain apart is less than what the four have
        // together.
        let faces = circle(&[0.0, 1.0, 2.5, 3.5, 150.0, 152.0]);
        assert_eq!(shown(setting.group(&faces)), [vec![0, 1, 2, 3], vec![4, 5]]);
    }

    #[test]
    fn copies_are_a_cluster_and_not_infinitely_dense() {
        let setting = Hdbscan { min_cluster_size: 2, min_samples: 1 };
        assert_eq!(shown(setting.group(&circle(&[0.0, 0.0, 0.0, 90.0, 90.0]))), [vec![0, 1, 2], vec![3, 4]]);
    }
}
