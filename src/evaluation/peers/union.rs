//! Disjoint sets that are joined.

/// Disjoint sets of numbers (Tarjan 1975), each named by its smallest number.
pub(super) struct UnionFind(Vec<usize>);

impl UnionFind {
    pub(super) fn new(count: usize) -> Self {
        Self((0..count).collect())
    }

    /// Returns the smallest number of the set that holds a number.
    pub(super) fn find(&mut self, mut at: usize) -> usize {
        while self.0[at] != at {
            self.0[at] = self.0[self.0[at]];
            at = self.0[at];
        }
        at
    }

    /// Joins the sets of two numbers.
    pub(super) fn join(&mut self, a: usize, b: usize) {
        let (a, b) = (self.find(a), self.find(b));
        self.0[a.max(b)] = a.min(b);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_have_the_name_of_their_smallest() {
        let mut sets = UnionFind::new(5);
        sets.join(4, 3);
        sets.join(1, 4);
        assert_eq!((0..5).map(|at| sets.find(at)).collect::<Vec<_>>(), [0, 1, 2, 1, 1]);
    }
}
