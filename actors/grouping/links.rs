//! What a cluster knows of its neighbours.

/// What is known of two neighbouring clusters; for a join it is the sum of what was known of the parts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Link {
    /// Quality-weighted sum of the excess over all their pairs.
    pub total: f32,
    /// Whether a photo or a person's word keeps them apart.
    pub barred: bool,
    /// Whether [`are_look_alikes`](super::voices::are_look_alikes) refused them as they are.
    pub refused: bool,
}

impl Link {
    /// Of the two parts of a new cluster to a third.
    pub(crate) fn with(self, other: Self) -> Self {
        Self { total: self.total + other.total, barred: self.barred || other.barred, refused: false }
    }
}

/// The neighbours of a cluster, ascending by number.
#[derive(Clone, Debug, Default)]
pub(crate) struct Links(Vec<(usize, Link)>);

impl Links {
    /// From neighbours in any order; one that comes twice is taken once.
    pub(crate) fn new(mut links: Vec<(usize, Link)>) -> Self {
        links.sort_by_key(|(number, _)| *number);
        links.dedup_by_key(|(number, _)| *number);
        Self(links)
    }

    fn at(&self, number: usize) -> Result<usize, usize> {
        self.0.binary_search_by_key(&number, |(n, _)| *n)
    }

    /// All of them.
    pub(crate) fn all(&self) -> &[(usize, Link)] {
        &self.0
    }

    /// Those with smaller numbers.
    pub(crate) fn before(&self, number: usize) -> &[(usize, Link)] {
        &self.0[..self.0.partition_point(|(n, _)| *n < number)]
    }

    /// Those with larger numbers.
    pub(crate) fn after(&self, number: usize) -> &[(usize, Link)] {
        &self.0[self.0.partition_point(|(n, _)| *n <= number)..]
    }

    /// These two are not to be joined as they are.
    pub(crate) fn refuse(&mut self, number: usize) {
        if let Ok(at) = self.at(number) {
            self.0[at].1.refused = true;
        }
    }

    /// `gone` is part of `kept` from now on.
    pub(crate) fn moved(&mut self, gone: usize, kept: usize, link: Link) {
        if let Ok(old) = self.at(gone) {
            self.0.remove(old);
        }
        match self.at(kept) {
            Ok(at) => self.0[at].1 = link,
            Err(at) => self.0.insert(at, (kept, link)),
        }
    }

    /// The neighbours of two clusters that become one, with what is known of either side.
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
