//! The list of galleries whose groups are older than their faces, and that must be grouped again.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::domain::gallery::GalleryId;

/// The galleries that must be reconciled, in the order in which they were marked. The list outlives the Grouper, so a
/// crash of it forgets none.
#[derive(Clone, Debug, Default)]
pub(crate) struct DirtyGalleries(Arc<Mutex<MarkedGalleries>>);

#[derive(Debug, Default)]
struct MarkedGalleries {
    /// Marked galleries by the number of their mark; numbers ascend.
    waiting: BTreeMap<u64, GalleryId>,
    numbers: HashMap<GalleryId, u64>,
    next: u64,
}

impl DirtyGalleries {
    /// Creates the list with the galleries that are reconciled in any case.
    pub(crate) fn new(always: &[GalleryId]) -> Self {
        let dirty = Self::default();
        always.iter().for_each(|gallery| dirty.mark(gallery));
        dirty
    }

    /// Marks a gallery as changed. A gallery that is marked already keeps its place in the order.
    pub(crate) fn mark(&self, gallery: &GalleryId) {
        let mut marks = self.0.lock();
        if !marks.numbers.contains_key(gallery) {
            let number = marks.next;
            marks.next += 1;
            marks.waiting.insert(number, gallery.clone());
            marks.numbers.insert(gallery.clone(), number);
        }
    }

    /// Returns the gallery that was marked first, and leaves its mark.
    pub(crate) fn first(&self) -> Option<GalleryId> {
        self.0.lock().waiting.values().next().cloned()
    }

    /// Takes the mark of a gallery away while it is reconciled. The returned guard sets it again unless
    /// [`RemarkGuard::done`] was called.
    pub(crate) fn take(&self, gallery: GalleryId) -> RemarkGuard {
        let mut marks = self.0.lock();
        if let Some(number) = marks.numbers.remove(&gallery) {
            marks.waiting.remove(&number);
        }
        RemarkGuard { dirty: self.clone(), gallery: Some(gallery) }
    }
}

/// A guard that marks its gallery again when it is dropped, for example by a panic, unless the reconciliation was done.
#[derive(Debug)]
pub(crate) struct RemarkGuard {
    dirty: DirtyGalleries,
    gallery: Option<GalleryId>,
}

impl RemarkGuard {
    /// Says that the reconciliation succeeded, so that the gallery is not marked again.
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
