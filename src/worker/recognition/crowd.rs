//! Who is known: the people of each gallery that is asked for.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use muster_actors::domain::gallery::GalleryId;
use muster_actors::grouping::identification::{Identified, Rule};
use muster_actors::ports::faces::FacesError;
use parking_lot::{Mutex, MutexGuard};

use super::circle::Circle;
use super::error::CrowdError;
use super::galleries::Galleries;

/// Galleries that stay in memory; who was asked for longest ago makes room.
const KEPT: usize = 64;
/// And the numbers in their vectors together: 1 GiB. The gallery that is asked for stays, however large.
const NUMBERS: usize = 256 << 20;

/// Who is known.
pub struct Crowd {
    rule: Rule,
    dimensions: usize,
    galleries: Arc<dyn Galleries>,
    circles: Mutex<HashMap<GalleryId, (Arc<Circle>, Instant)>>,
}

impl Crowd {
    /// The people of galleries; embeddings have `dimensions`.
    pub fn new(galleries: Arc<dyn Galleries>, rule: Rule, dimensions: usize) -> Self {
        Self { rule, dimensions, galleries, circles: Mutex::default() }
    }

    /// Whose the embeddings of some faces are, with up to `keep` candidates each.
    pub(crate) async fn identify(
        &self,
        gallery: &GalleryId,
        probes: Vec<Vec<f32>>,
        keep: usize,
    ) -> Result<Vec<Identified>, CrowdError> {
        let known = self.circle(gallery).known().await;
        if let Err(CrowdError::NoGallery(_)) = &known {
            self.circles().remove(gallery);
        }
        let (known, rule) = (known?, self.rule);
        // The second is needed to judge the first.
        let search = move || known.search(&probes, keep.max(2));
        let found = tokio::task::spawn_blocking(search).await.map_err(FacesError::from)??;
        Ok(found.into_iter().map(|candidates| rule.judge(candidates, keep)).collect())
    }

    /// Whether a gallery can be read.
    pub async fn reads(&self, gallery: &GalleryId) -> Result<(), CrowdError> {
        Ok(self.galleries.generation(gallery).await.map(drop)?)
    }

    /// A person changed the groups: the next caller sees it.
    pub fn changed(&self) {
        self.circles().values().for_each(|(circle, _)| circle.changed());
    }

    fn circles(&self) -> MutexGuard<'_, HashMap<GalleryId, (Arc<Circle>, Instant)>> {
        self.circles.lock()
    }

    fn circle(&self, gallery: &GalleryId) -> Arc<Circle> {
        let (mut circles, now) = (self.circles(), Instant::now());
        let new = || Arc::new(Circle::new(gallery.clone(), Arc::clone(&self.galleries), self.dimensions));
        let (circle, used) = circles.entry(gallery.clone()).or_insert_with(|| (new(), now));
        *used = now;
        let circle = Arc::clone(circle);
        let numbers = |circles: &HashMap<_, (Arc<Circle>, _)>| circles.values().map(|(circle, _)| circle.size()).sum();
        let mut size: usize = numbers(&circles);
        while circles.len() > 1 && (circles.len() > KEPT || size > NUMBERS) {
            let oldest = circles.iter().filter(|(name, _)| *name != gallery).min_by_key(|(_, (_, used))| *used);
            let Some(oldest) = oldest.map(|(name, _)| name.clone()) else { break };
            size -= circles.remove(&oldest).map_or(0, |(circle, _)| circle.size());
        }
        circle
    }
}
