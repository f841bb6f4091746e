//! The galleries whose groups are older than their faces.

use std::collections::BTreeSet;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::domain::gallery::GalleryId;

/// Galleries that must be reconciled. It outlives the Grouper: a crash forgets none.
#[derive(Clone, Debug)]
pub(crate) struct DirtyGalleries(Arc<Mutex<BTreeSet<GalleryId>>>);

impl DirtyGalleries {
    /// Begins with galleries that are reconciled in any case.
    pub(crate) fn new(always: &[GalleryId]) -> Self {
        Self(Arc::new(Mutex::new(always.iter().cloned().collect())))
    }

    /// The gallery changed.
    pub(crate) fn mark(&self, gallery: &GalleryId) {
        let mut dirty = self.0.lock();
        if !dirty.contains(gallery) {
            dirty.insert(gallery.clone());
        }
    }

    /// The first gallery that must be reconciled.
    pub(crate) fn first(&self) -> Option<GalleryId> {
        self.0.lock().first().cloned()
    }

    /// Takes a mark away, until the guard is dropped.
    pub(crate) fn take(&self, gallery: GalleryId) -> RemarkGuard {
        self.0.lock().remove(&gallery);
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
