//! Identifies faces among the people of any gallery, and keeps the galleries that were asked for lately in memory.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use muster_actors::domain::gallery::GalleryId;
use muster_actors::grouping::identification::{Identified, Rule};
use muster_actors::ports::faces::FacesError;
use parking_lot::{Mutex, MutexGuard};

use super::error::RecognitionIndexError;
use super::galleries::Galleries;
use super::gallery_index::GalleryIndex;

/// Most galleries in memory; the least recently used one is dropped first.
const KEPT: usize = 64;
/// Most numbers in their vectors together: 1 GiB. The gallery that is being searched stays, however large it is.
const NUMBERS: usize = 256 << 20;

/// The known people of galleries, searchable by embeddings of faces.
pub struct RecognitionIndex {
    rule: Rule,
    dimensions: usize,
    galleries: Arc<dyn Galleries>,
    indexes: Mutex<HashMap<GalleryId, (Arc<GalleryIndex>, Instant)>>,
}

impl RecognitionIndex {
    /// Creates an empty index over galleries whose embeddings have `dimensions`.
    pub fn new(galleries: Arc<dyn Galleries>, rule: Rule, dimensions: usize) -> Self {
        Self { rule, dimensions, galleries, indexes: Mutex::default() }
    }

    /// Identifies the faces with these embeddings, with up to `keep` candidates each.
    pub(crate) async fn identify(
        &self,
        gallery: &GalleryId,
        probes: Vec<Vec<f32>>,
        keep: usize,
    ) -> Result<Vec<Identified>, RecognitionIndexError> {
        let known = self.index(gallery).known().await;
        if let Err(RecognitionIndexError::NoGallery(_)) = &known {
            self.indexes().remove(gallery);
        }
        let (known, rule) = (known?, self.rule);
        // The margin of the first candidate needs the second.
        let search = move || known.search(&probes, keep.max(2));
        let found = tokio::task::spawn_blocking(search).await.map_err(FacesError::from)??;
        Ok(found.into_iter().map(|candidates| rule.judge(candidates, keep)).collect())
    }

    /// Checks that a gallery can be read.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn reads(&self, gallery: &GalleryId) -> Result<(), RecognitionIndexError> {
        Ok(self.galleries.generation(gallery).await.map(drop)?)
    }

    /// Drops the people of all galleries after a correction, so that the next caller sees it.
    pub fn changed(&self) {
        self.indexes().values().for_each(|(index, _)| index.changed());
    }

    fn indexes(&self) -> MutexGuard<'_, HashMap<GalleryId, (Arc<GalleryIndex>, Instant)>> {
        self.indexes.lock()
    }

    fn index(&self, gallery: &GalleryId) -> Arc<GalleryIndex> {
        let (mut indexes, now) = (self.indexes(), Instant::now());
        let new = || Arc::new(GalleryIndex::new(gallery.clone(), Arc::clone(&self.galleries), self.dimensions));
        let (index, used) = indexes.entry(gallery.clone()).or_insert_with(|| (new(), now));
        *used = now;
        let index = Arc::clone(index);
        let numbers =
            |indexes: &HashMap<_, (Arc<GalleryIndex>, _)>| indexes.values().map(|(index, _)| index.size()).sum();
        let mut size: usize = numbers(&indexes);
        while indexes.len() > 1 && (indexes.len() > KEPT || size > NUMBERS) {
            let oldest = indexes.iter().filter(|(name, _)| *name != gallery).min_by_key(|(_, (_, used))| *used);
            let Some(oldest) = oldest.map(|(name, _)| name.clone()) else { break };
            size -= indexes.remove(&oldest).map_or(0, |(index, _)| index.size());
        }
        index
    }
}
