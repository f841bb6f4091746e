//! What lies in S3 already of results that are not in the database yet: a bulk that is written again does not put the same
//! bytes again.

use std::collections::{HashMap, VecDeque};

use muster_stores::mongo::PackRange;

/// Where something was put.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PutLocation {
    /// Under a key of its own.
    Own,
    /// In a pack.
    Pack(PackRange),
}

/// The newest of what was put, by its digest.
#[derive(Debug)]
pub(super) struct RecentPuts<T> {
    most: usize,
    places: HashMap<[u8; 32], T>,
    /// In the order in which they came; some may be gone.
    order: VecDeque<[u8; 32]>,
}

impl<T: Clone> RecentPuts<T> {
    /// Keeps so many at most.
    pub fn new(most: usize) -> Self {
        Self { most, places: HashMap::new(), order: VecDeque::new() }
    }

    /// Where something lies.
    pub fn get(&self, digest: &[u8; 32]) -> Option<T> {
        self.places.get(digest).cloned()
    }

    /// Notes where something lies; the oldest goes where there are too many.
    pub fn insert(&mut self, digest: [u8; 32], place: T) {
        if self.places.insert(digest, place).is_none() {
            self.order.push_back(digest);
        }
        while self.places.len() > self.most
            && let Some(oldest) = self.order.pop_front()
        {
            self.places.remove(&oldest);
        }
        if self.order.len() > 2 * self.most {
            let Self { places, order, .. } = self;
            order.retain(|digest| places.contains_key(digest));
        }
    }

    /// Takes out all places but those for which `keep` holds.
    pub fn retain(&mut self, keep: impl Fn(&T) -> bool) {
        self.places.retain(|_, place| keep(place));
    }

    /// Takes one out.
    pub fn remove(&mut self, digest: &[u8; 32]) -> Option<T> {
        self.places.remove(digest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_are_kept_and_no_more_than_so_many() {
        let digest = |n: u16| [n.to_le_bytes(); 16].as_flattened().try_into().unwrap();
        let mut kept = RecentPuts::new(3);
        for n in 0..100u16 {
            kept.insert(digest(n), n);
            if n % 2 == 0 {
                assert_eq!(kept.remove(&digest(n)), Some(n));
            }
            assert!(kept.places.len() <= 3 && kept.order.len() <= 6, "{n}");
        }
        assert_eq!([93, 95, 97, 99].map(|n| kept.get(&digest(n))), [None, Some(95), Some(97), Some(99)]);
        // Put once more: it lies elsewhere now.
        kept.insert(digest(99), 7);
        assert_eq!((kept.get(&digest(99)), kept.places.len()), (Some(7), 3));
    }
}
