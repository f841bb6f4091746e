//! The galleries whose groups are older than their faces.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::domain::gallery::GalleryId;

/// Galleries that must be reconciled, in the order in which they were marked. It outlives the Grouper: a crash forgets none.
#[derive(Clone, Debug, Default)]
pub(crate) struct DirtyGalleries(Arc<Mutex<MarkedGalleries>>);

#[derive(Debug, Default)]
struct MarkedGalleries {
    /// By their numbers, which follow each other.
    waiting: BTreeMap<u64, GalleryId>,
    numbers: HashMap<GalleryId, u64>,
    next: u64,
}

impl DirtyGalleries {
    /// Begins with galleries that are reconciled in any case.
    pub(crate) fn new(always: &[GalleryId]) -> Self {
        let dirty = Self::default();
        always.iter().for_each(|gallery| dirty.mark(gallery));
        dirty
    }

    /// The gallery changed. One that is marked keeps its place.
    pub(crate) fn mark(&self, gallery: &GalleryId) {
        let mut marks = self.0.lock();
        if !marks.numbers.contains_key(gallery) {
            let number = marks.next;
            marks.next += 1;
            marks.waiting.insert(number, gallery.clone());
            marks.numbers.insert(gallery.clone(), number);
        }
    }

    /// The gallery that was marked first.
    pub(crate) fn first(&self) -> Option<GalleryId> {
        self.0.lock().waiting.values().next().cloned()
    }

    /// Takes a mark away, until the guard is dropped.
    pub(crate) fn take(&self, gallery: GalleryId) -> RemarkGuard {
        let mut marks = self.0.lock();
        if let Some(number) = marks.numbers.remove(&gallery) {
            marks.waiting.remove(&number);
        }
        RemarkGuard { dirty: self.clone(), gallery: Some(gallery) }
    }
}

/// Marks the gallery again unless its reconciliation was done: also when the actor dies.
#[derive(Debug)]
pub(crate) struct RemarkGuard {
    dirty: DirtyGalleries,
    gallery: Option<GalleryId>,
}

impl RemarkGuard {
    /// The gallery need not be marked again.
    pub(crate) fn done(mut self) {
        self.gallery = None;
    }
}

impl Drop for RemarkGuard {
    fn drop(&mut self) {
        if let Some(gallery) = &self.gallery {
            self.dirty.mark(gallery);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gallery(name: &str) -> GalleryId {
        GalleryId(name.to_owned())
    }

    #[test]
    fn who_is_marked_first_is_served_first_whatever_it_is_called() {
        let dirty = DirtyGalleries::new(&[gallery("z")]);
        for name in ["b", "a", "z", "b"] {
            dirty.mark(&gallery(name));
        }
        let mut served = Vec::new();
        while let Some(first) = dirty.first() {
            dirty.take(first.clone()).done();
            served.push(first.0);
            if served.len() < 4 {
                // It is written to all the time.
                dirty.mark(&gallery("a"));
            }
        }
        assert_eq!(served, ["z", "b", "a", "a"]);
    }

    #[test]
    fn a_gallery_whose_grouping_was_not_done_comes_again_after_the_others() {
        let dirty = DirtyGalleries::new(&[gallery("a"), gallery("b")]);
        drop(dirty.take(gallery("a")));
        assert_eq!(dirty.first(), Some(gallery("b")));
        dirty.take(gallery("b")).done();
        assert_eq!(dirty.first(), Some(gallery("a")));
    }
}
