//! A cache of the clusterings of large galleries between two reconciliations. New faces are inserted and missing ones
//! removed, so that the result is that of [`super::reconcile()`] for the same faces and the kept calibration. A small
//! gallery is grouped from scratch each time, which takes less than a second.

use std::collections::HashSet;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};

use crate::domain::face::FaceId;
use crate::domain::gallery::{GalleryId, GallerySnapshot, Reconciled};
use crate::grouping::calibration::Calibration;
use crate::grouping::cluster::Clustering;
use crate::grouping::constraints::Constraints;
use crate::grouping::identity::identify;
use crate::grouping::params::Params;
use crate::grouping::reconcile::{name, prepare, reconcile};
use crate::people::recognise::Recognised;
use crate::ports::index::{IndexError, IndexFactory};

/// Number of faces up to which a gallery counts as small.
const SMALL: usize = 5000;

/// The clusterings of the galleries that were grouped last.
pub struct ClusteringCache {
    params: Params,
    factory: Arc<dyn IndexFactory>,
    /// Bytes of memory that all clusterings may keep together.
    limit: usize,
    /// Number of faces up to which a gallery is grouped from scratch each time.
    small: usize,
    /// Galleries, with the least recently used first.
    galleries: Mutex<Vec<KeptGallery>>,
}

/// A gallery with its clustering.
struct KeptGallery {
    id: GalleryId,
    clustering: Clustering,
    bytes: usize,
}

impl ClusteringCache {
    /// Creates a cache whose clusterings keep up to `limit` bytes of memory together.
    pub fn new(params: Params, factory: Arc<dyn IndexFactory>, limit: usize) -> Self {
        Self { params, factory, limit, small: SMALL, galleries: Mutex::default() }
    }

    fn galleries(&self) -> MutexGuard<'_, Vec<KeptGallery>> {
        self.galleries.lock()
    }

    /// Returns the bytes of memory that the clusterings keep now.
    pub fn bytes(&self) -> usize {
        self.galleries().iter().map(|kept| kept.bytes).sum()
    }

    /// Groups a gallery. It blocks the calling thread.
    ///
    /// # Errors
    /// [`IndexError::Dimensions`] when the vectors have different lengths; [`IndexError::Failed`] when the index fails.
    pub fn reconcile(&self, gallery: &GalleryId, mut snapshot: GallerySnapshot) -> Result<Reconciled, IndexError> {
        if snapshot.faces.len() <= self.small {
            self.take(gallery);
            return reconcile(snapshot, &self.params, &*self.factory);
        }
        let recognised = prepare(&mut snapshot);
        let GallerySnapshot { faces, facts, previous, .. } = snapshot;
        let Some(dimensions) = faces.first().map(|face| face.embedding.len()) else {
            self.take(gallery);
            let Recognised { edits, renamed } = recognised;
            let none = identify(&[], &previous, &facts, |_| None, |_| None);
            return Ok(Reconciled { recognised: edits, renamed, ..none });
        };
        // The clustering is taken out of the cache while it is changed, so that an error leaves no half-changed one
        // behind.
        let fits = |kept: &Clustering| {
            let calibration = kept.graph().calibration();
            calibration.dimensions() == dimensions && !calibration.is_stale(faces.len())
        };
        let mut clustering = match self.take(gallery).filter(fits) {
            Some(kept) => kept,
            None => {
                let calibration = Calibration::learn(&self.params, dimensions, &faces);
                Clustering::new(self.params.clone(), calibration, &*self.factory)?
            }
        };
        let here: HashSet<FaceId> = faces.iter().map(|face| face.id).collect();
        let graph = clustering.graph();
        let gone: Vec<FaceId> = (0..graph.slots())
            .filter_map(|slot| Some(graph.node(u32::try_from(slot).ok()?)?.id))
            .filter(|id| !here.contains(id))
            .collect();
        clustering.remove(&gone, &*self.factory)?;
        clustering.constrain(Constraints::new(&facts, &faces, &previous));
        clustering.insert(&faces, &*self.factory)?;
        let reconciled = name(&clustering, &faces, &previous, &facts);
        self.keep(gallery.clone(), clustering);
        Ok(Reconciled { recognised: recognised.edits, renamed: recognised.renamed, ..reconciled })
    }

    fn take(&self, gallery: &GalleryId) -> Option<Clustering> {
        let mut galleries = self.galleries();
        let place = galleries.iter().position(|kept| kept.id == *gallery)?;
        Some(galleries.remove(place).clustering)
    }

    /// Puts a clustering into the cache, and removes those that were used longest ago until all fit.
    fn keep(&self, id: GalleryId, clustering: Clustering) {
        let bytes = clustering.heap_size();
        let mut galleries = self.galleries();
        galleries.push(KeptGallery { id, clustering, bytes });
        let mut all: usize = galleries.iter().map(|kept| kept.bytes).sum();
        let oldest = galleries.iter().take_while(|kept| {
            let is_too_much = all > self.limit;
            all -= if is_too_much { kept.bytes } else { 0 };
            is_too_much
        });
        let count = oldest.count();
        galleries.drain(..count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::facts::Facts;
    use crate::domain::gallery::{GalleryVersion, Partition};
    use crate::grouping::scan::ScanFactory;
    use crate::grouping::tests::{Rng, gallery, run, said};

    fn kept(limit: usize) -> ClusteringCache {
        ClusteringCache { small: 0, ..ClusteringCache::new(Params::default(), Arc::new(ScanFactory), limit) }
    }

    /// The calibration that is kept with the gallery.
    fn calibration(kept: &ClusteringCache) -> Calibration {
        kept.galleries().last().expect("it was grouped").clustering.graph().calibration().clone()
    }

    /// Computes the groups of a clustering from nothing, under a calibration.
    fn afresh(calibration: Calibration, snapshot: &GallerySnapshot) -> Reconciled {
        let snapshot = &mut snapshot.clone();
        prepare(snapshot);
        let GallerySnapshot { faces, facts, previous, .. } = snapshot;
        let mut clustering = Clustering::new(Params::default(), calibration, &ScanFactory).expect("an index");
        clustering.constrain(Constraints::new(facts, faces, previous));
        clustering.insert(faces, &ScanFactory).expect("equal dimensions");
        name(&clustering, faces, previous, facts)
    }

    #[test]
    fn what_is_kept_groups_as_what_is_read_anew_under_its_calibration() {
        for seed in 0..40 {
            let (mut rng, kept) = (Rng(seed), kept(usize::MAX));
            let (all, of) = (gallery(seed, 40), GalleryId("g".to_owned()));
            let mut previous = Partition::default();
            for round in 0..6u64 {
                let faces: Vec<_> = all.iter().filter(|_| rng.below(4) > 0).cloned().collect();
                let count = rng.below(4);
                let facts = said(&mut rng, &all, count);
                let doubted = faces.iter().map(|face| face.id).filter(|_| rng.below(10) == 0).collect();
                let snapshot = GallerySnapshot {
                    version: GalleryVersion { generation: round, revision: round },
                    faces,
                    doubted,
                    facts,
                    previous,
                };
                let got = kept.reconcile(&of, snapshot.clone()).expect("equal dimensions");
                assert_eq!(got, afresh(calibration(&kept), &snapshot), "seed {seed}, round {round}");
                previous = got.partition;
            }
            let none = GallerySnapshot { previous: previous.clone(), ..GallerySnapshot::default() };
            assert_eq!(kept.reconcile(&of, none).expect("no faces"), run(&[], &Facts::default(), &previous));
        }
    }

    #[test]
    fn what_is_not_kept_groups_as_what_is_read_anew() {
        let (faces, kept) = (gallery(7, 40), kept(0));
        for _ in 0..2 {
            let snapshot = GallerySnapshot { faces: faces.clone(), ..GallerySnapshot::default() };
            let got = kept.reconcile(&GalleryId("g".to_owned()), snapshot).expect("equal dimensions");
            assert_eq!(got, run(&faces, &Facts::default(), &Partition::default()));
        }
    }

    #[test]
    fn a_gallery_that_doubles_is_calibrated_anew() {
        let (faces, kept, of) = (gallery(3, 400), kept(usize::MAX), GalleryId("g".to_owned()));
        for count in [100, 150, 201, 400, 401] {
            let snapshot = GallerySnapshot { faces: faces[..count].to_vec(), ..GallerySnapshot::default() };
            kept.reconcile(&of, snapshot).expect("equal dimensions");
            let learned_anew = format!("{:?}", calibration(&kept))
                == format!("{:?}", Calibration::learn(&Params::default(), 48, &faces[..count]));
            assert_eq!(learned_anew, [100, 201].contains(&count), "{count} faces");
        }
    }

    /// The order of arrival decides with which part of a gallery it was calibrated; that moves few faces.
    #[test]
    fn an_old_calibration_groups_nearly_all_faces_as_a_new_one() {
        let (mut pairs, mut alike) = (0, 0);
        for seed in 0..10 {
            let faces = gallery(seed, 400);
            let (early, late) = (&faces[..faces.len() / 2], &faces[..]);
            let whole = GallerySnapshot { faces: late.to_vec(), ..GallerySnapshot::default() };
            let [old, new] = [early, late].map(|learned| {
                let calibration = Calibration::learn(&Params::default(), 48, learned);
                afresh(calibration, &whole).partition.groups
            });
            let together = |groups: &[crate::domain::gallery::Group]| -> HashSet<(FaceId, FaceId)> {
                let pairs = |faces: &[FaceId]| {
                    faces.iter().flat_map(|a| faces.iter().map(|b| (*a, *b))).filter(|(a, b)| a < b).collect::<Vec<_>>()
                };
                groups.iter().flat_map(|group| pairs(&group.faces)).collect()
            };
            let (old, new) = (together(&old), together(&new));
            pairs += old.union(&new).count();
            alike += old.intersection(&new).count();
        }
        assert!(pairs > 5000 && alike * 100 >= pairs * 90, "{alike} of {pairs} pairs are together under both");
    }

    #[test]
    fn no_more_is_kept_than_allowed_and_the_oldest_goes_first() {
        let faces = gallery(1, 20);
        let group = |kept: &ClusteringCache, name: &str| {
            let snapshot = GallerySnapshot { faces: faces.clone(), ..GallerySnapshot::default() };
            kept.reconcile(&GalleryId(name.to_owned()), snapshot).expect("equal dimensions");
        };
        let one = kept(usize::MAX);
        group(&one, "a");
        let kept = kept(one.bytes() * 2);
        for name in ["a", "b", "a", "c"] {
            group(&kept, name);
            assert!(kept.bytes() <= one.bytes() * 2, "{} bytes", kept.bytes());
        }
        let names: Vec<_> = kept.galleries().iter().map(|kept| kept.id.0.clone()).collect();
        assert_eq!(names, ["a", "c"]);
    }
}
