//! Disjoint sets of slots.

use std::collections::HashMap;

/// Slots in disjoint sets. Slots that were not given at the start are ignored.
pub(crate) struct Units {
    /// Set of each slot.
    set_of: HashMap<u32, usize>,
    /// Slots of each set, in the order in which they were given; empty where the set was united
    /// with another.
    sets: Vec<Vec<u32>>,
}

impl Units {
    /// Creates one set for each slot.
    pub(crate) fn new(slots: &[u32]) -> Self {
        let set_of = slots.iter().enumerate().map(|(set, slot)| (*slot, set)).collect();
        Self { set_of, sets: slots.iter().map(|slot| vec![*slot]).collect() }
    }

    /// Returns the set of a slot.
    pub(crate) fn get(&self, slot: u32) -> &[u32] {
        self.set_of.get(&slot).map_or(&[], |set| &self.sets[*set])
    }

    /// Unites the sets of two slots. The later set goes into the earlier.
    pub(crate) fn unite(&mut self, a: u32, b: u32) {
        let (Some(a), Some(b)) = (self.set_of.get(&a), self.set_of.get(&b)) else { return };
        let (kept, gone) = (*a.min(b), *a.max(b));
        if kept != gone {
            let moved = std::mem::take(&mut self.sets[gone]);
            moved.iter().for_each(|slot| {
                self.set_of.insert(*slot, kept);
            });
            self.sets[kept].extend(moved);
        }
    }

    /// Returns all sets, in the order of their first slots.
    pub(crate) fn into_sets(self) -> Vec<Vec<u32>> {
        self.sets.into_iter().filter(|set| !set.is_empty()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_unite_and_keep_the_order_of_their_first_slots() {
        let mut units = Units::new(&[7, 3, 9, 1]);
        units.unite(9, 3);
        units.unite(1, 1);
        units.unite(1, 42);
        assert_eq!(units.get(9), [3, 9]);
        assert_eq!(units.into_sets(), [vec![7], vec![3, 9], vec![1]]);
    }
}
