//! Chinese whispers: in several passes, each face takes the label that is strongest among its
//! neighbours.
//!
//! Biemann, "Chinese Whispers - an efficient graph clustering algorithm and its application to
//! natural language processing problems", TextGraphs 2006. dlib uses it for faces. An edge weighs
//! as much as its similarity. The smallest of equally strong labels is taken, so that the
//! result depends on the seed alone.

use std::collections::HashMap;

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::{Peer, Similarities, gather};
use crate::Groups;

/// Number of passes over all faces; labels settle within a few.
const PASSES: usize = 20;
/// Seed of the order in which faces take their labels.
const SEED: u64 = 1;

/// The setting of Chinese whispers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ChineseWhispers {
    /// Cosine similarity from which two faces are neighbours.
    pub threshold: f32,
}

impl Peer for ChineseWhispers {
    const NAME: &'static str = "Chinese whispers";

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
        let mut order: Vec<usize> = (0..similarities.len()).collect();
        let neighbours: Vec<Vec<usize>> = order
            .iter()
            .map(|face| similarities.near(*face, self.threshold).filter(|other| other != face).collect())
            .collect();
        let mut labels = order.clone();
        let mut rng = ChaCha8Rng::seed_from_u64(SEED);
        let mut strength: HashMap<usize, f32> = HashMap::new();
        for _ in 0..PASSES {
            order.shuffle(&mut rng);
            let mut changed = false;
            for face in &order {
                strength.clear();
                let row = similarities.row(*face);
                for other in &neighbours[*face] {
                    *strength.entry(labels[*other]).or_default() += row[*other];
                }
                let best = strength.iter().max_by(|(a, x), (b, y)| x.total_cmp(y).then(b.cmp(a)));
                if let Some((label, _)) = best {
                    changed |= labels[*face] != *label;
                    labels[*face] = *label;
                }
            }
            if !changed {
                break;
            }
        }
        gather(labels.into_iter().map(Some))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::circle;
    use super::*;

    #[test]
    fn a_single_bridge_does_not_join_two_crowds() {
        let faces = circle(&[0.0, 1.0, 2.0, 3.0, 4.0, 13.0, 14.0, 15.0, 16.0, 17.0]);
        // 4° and 13° are neighbours at 9.5°, as nothing else across is.
        let whispers = ChineseWhispers { threshold: 9.5_f32.to_radians().cos() };
        assert_eq!(whispers.group(&faces), [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]]);
    }
}
