//! Fills the store as an earlier run leaves it: with faces, their crops, and their groups.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::domain::gallery::{GalleryId, GalleryVersion};
use crate::domain::image::{ImageRecord, ImageState};
use crate::domain::timings::Timings;
use crate::domain::version::ObjectVersion;
use crate::pipeline::item::face;
use crate::ports::faces::Commit;
use crate::sim::images::faces;
use crate::sim::scenario::Scenario;
use crate::sim::store::{State, reconcile};
use crate::sim::world::locator;

/// The model that found them, and that all workers have.
pub(super) const MODEL: &str = "sim-1";

/// What an earlier run stored of the first version of an image.
fn commit(number: usize, scenario: &Scenario) -> Commit {
    let locator = locator(number);
    let id = locator.id();
    let faces: Vec<_> =
        faces(number, scenario.images[number], 0).into_iter().map(|found| face(id, MODEL, found)).collect();
    let image = ImageRecord {
        id,
        locator,
        etag: format!("{number} v0"),
        bytes: 8,
        width: 400,
        height: 400,
        orientation: 1,
        taken: None,
        picture: None,
        state: ImageState::Indexed,
        rejection: None,
        quality: None,
        face_count: faces.len() as u32,
        model: String::from(MODEL),
    };
    let version = ObjectVersion { modified_ms: scenario.modified_ms(number, Duration::ZERO), sequencer: None };
    Commit { image, faces, content: None, version, timings: Timings::default() }
}

/// The store in which a scenario begins.
pub(super) fn stored(scenario: &Scenario) -> State {
    let mut state = State::default();
    let mut galleries: BTreeMap<GalleryId, u64> = BTreeMap::new();
    for number in (0..scenario.images.len()).filter(|number| scenario.has_stored(*number)) {
        let commit = commit(number, scenario);
        state.crops.extend(commit.faces.iter().map(|face| face.id));
        *galleries.entry(commit.image.locator.gallery.clone()).or_default() += 1;
        state.images.insert(commit.image.id, commit);
    }
    for (gallery, generation) in galleries {
        state.versions.insert(gallery.clone(), GalleryVersion { generation, revision: 1 });
        state.grouped.insert(gallery.clone(), generation);
        // Clusters of equal vectors are always found.
        if let Ok(reconciled) = reconcile(state.snapshot(&gallery)) {
            state.published.insert(gallery.clone(), reconciled.partition.clone());
            state.partitions.insert(gallery, reconciled.partition);
        }
    }
    state
}
