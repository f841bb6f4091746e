//! The links of a cluster to its neighbours.

/// The link of two neighbouring clusters. The link of a joined cluster is the sum of the links of its parts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Link {
    /// Quality-weighted sum of the excess over all pairs of the two.
    pub total: f32,
    /// Whether a common photo or a person's statement keeps them apart.
    pub barred: bool,
    /// Whether [`are_look_alikes`](super::voices::are_look_alikes) refused to join them as they are now.
    pub refused: bool,
}

impl Link {
    /// Adds the links of two parts of a new cluster to a third one.
    pub(crate) fn with(self, other: Self) -> Self {
        Self { total: self.total + other.total, barred: self.barred || other.barred, refused: false }
    }
}

/// The links of a cluster, ascending by the neighbour's number.
#[derive(Clone, Debug, Default)]
pub(crate) struct Links(Vec<(usize, Link)>);

impl Links {
    /// Sorts links, and keeps one for each neighbour.
    pub(crate) fn new(mut links: Vec<(usize, Link)>) -> Self {
        links.sort_by_key(|(number, _)| *number);
        links.dedup_by_key(|(number, _)| *number);
        Self(links)
    }

    fn at(&self, number: usize) -> Result<usize, usize> {
        self.0.binary_search_by_key(&number, |(n, _)| *n)
    }

    /// Returns all links.
    pub(crate) fn all(&self) -> &[(usize, Link)] {
        &self.0
    }

    /// Returns the links to neighbours with smaller numbers.
    pub(crate) fn before(&self, number: usize) -> &[(usize, Link)] {
        &self.0[..self.0.partition_point(|(n, _)| *n < number)]
    }

    /// Returns the links to neighbours with larger numbers.
    pub(crate) fn after(&self, number: usize) -> &[(usize, Link)] {
        &self.0[self.0.partition_point(|(n, _)| *n <= number)..]
    }

    /// Records that the two must not be joined as they are now.
    pub(crate) fn refuse(&mut self, number: usize) {
        if let Ok(at) = self.at(number) {
            self.0[at].1.refused = true;
        }
    }

    /// Replaces the link to `gone` by `link`, because `gone` is part of `kept` now.
    pub(crate) fn moved(&mut self, gone: usize, kept: usize, link: Link) {
        if let Ok(old) = self.at(gone) {
            self.0.remove(old);
        }
        match self.at(kept) {
            Ok(at) => self.0[at].1 = link,
            Err(at) => self.0.insert(at, (kept, link)),
        }
    }

    /// Merges the links of two clusters that become one: for each neighbour, the link of either side where there is
    /// one.
    pub(crate) fn merged(self, other: Self) -> impl Iterator<Item = (usize, Option<Link>, Option<Link>)> {
        let (mut left, mut right) = (self.0.into_iter().peekable(), other.0.into_iter().peekable());
        std::iter::from_fn(move || {
            let next = left.peek().into_iter().chain(right.peek()).map(|(number, _)| *number).min()?;
            let mine = left.next_if(|(number, _)| *number == next).map(|(_, link)| link);
            let theirs = right.next_if(|(number, _)| *number == next).map(|(_, link)| link);
            Some((next, mine, theirs))
        })
    }
}
