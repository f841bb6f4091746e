//! From a snapshot of a gallery to its new partition.

use std::collections::HashMap;

use crate::domain::face::FaceId;
use crate::domain::gallery::{Decision, FaceVector, GallerySnapshot, Partition, Reconciled};
use crate::grouping::calibration::Calibration;
use crate::grouping::cluster::Clustering;
use crate::grouping::identity::identify;
use crate::grouping::non_faces::set_aside;
use crate::grouping::params::Params;
use crate::grouping::suggest::suggest;
use crate::ports::index::{IndexError, IndexFactory};

/// Clusters a gallery from scratch and names its groups. Blocking; see docs/grouping.md for what it costs.
pub fn reconcile(
    mut snapshot: GallerySnapshot,
    params: &Params,
    factory: &dyn IndexFactory,
) -> Result<Reconciled, IndexError> {
    set_aside(&mut snapshot);
    let GallerySnapshot { faces, decisions, previous, .. } = snapshot;
    Ok(match gather(&faces, &decisions, params, factory)? {
        Some(clustering) => name(&clustering, &faces, &previous, &decisions),
        None => identify(&[], &previous, &decisions, |_| None),
    })
}

/// The clustering of some faces under some decisions; none where there are no faces.
pub(crate) fn gather(
    faces: &[FaceVector],
    decisions: &[Decision],
    params: &Params,
    factory: &dyn IndexFactory,
) -> Result<Option<Clustering>, IndexError> {
    let Some(first) = faces.first() else { return Ok(None) };
    let calibration = Calibration::learn(params, first.embedding.len(), faces);
    let mut clustering = Clustering::new(params.clone(), calibration, factory)?;
    clustering.decide(decisions);
    clustering.insert(faces, factory)?;
    Ok(Some(clustering))
}

/// Names the groups of a clustering that is kept: what [`reconcile`] would say of the same faces.
pub(crate) fn name(
    clustering: &Clustering,
    faces: &[FaceVector],
    previous: &Partition,
    decisions: &[Decision],
) -> Reconciled {
    let clusters = clustering.partition();
    let known: HashMap<FaceId, &FaceVector> = faces.iter().map(|face| (face.id, face)).collect();
    let mut reconciled = identify(&clusters, previous, decisions, |face| {
        let face = known.get(&face)?;
        Some((face.embedding.as_slice(), face.quality))
    });
    reconciled.partition.suggestions = suggest(clustering, &reconciled.partition.groups);
    reconciled
}
