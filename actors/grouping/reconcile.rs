//! Computes the new partition of a gallery from a snapshot of it.

use std::collections::HashMap;

use crate::domain::face::FaceId;
use crate::domain::facts::Facts;
use crate::domain::gallery::{FaceVector, GallerySnapshot, Partition, Reconciled};
use crate::grouping::calibration::Calibration;
use crate::grouping::cluster::Clustering;
use crate::grouping::constraints::Constraints;
use crate::grouping::identity::identify;
use crate::grouping::non_faces::set_aside;
use crate::grouping::params::Params;
use crate::grouping::suggest::suggest;
use crate::people::recognise::{Recognised, recognise};
use crate::ports::index::{IndexError, IndexFactory};

/// Groups a gallery from scratch and gives the groups their ids. It blocks; docs/grouping.md says what it costs.
///
/// # Errors
/// [`IndexError`] when the vectors have different lengths or the index fails.
pub fn reconcile(
    mut snapshot: GallerySnapshot,
    params: &Params,
    factory: &dyn IndexFactory,
) -> Result<Reconciled, IndexError> {
    let recognised = prepare(&mut snapshot);
    let GallerySnapshot { faces, facts, previous, .. } = snapshot;
    let reconciled = match gather(&faces, &facts, &previous, params, factory)? {
        Some(clustering) => name(&clustering, &faces, &previous, &facts),
        None => identify(&[], &previous, &facts, |_| None, |_| None),
    };
    Ok(Reconciled { recognised: recognised.edits, renamed: recognised.renamed, ..reconciled })
}

/// Recognises faces of which people stated facts, also in other files, and removes the detections that are no faces.
/// Returns the changes of the facts.
pub(crate) fn prepare(snapshot: &mut GallerySnapshot) -> Recognised {
    let recognised = recognise(&snapshot.faces, &snapshot.facts);
    recognised.edits.iter().for_each(|edit| snapshot.facts.apply(edit));
    set_aside(snapshot);
    recognised
}

/// Clusters some faces under some facts; `None` where there are no faces.
pub(crate) fn gather(
    faces: &[FaceVector],
    facts: &Facts,
    previous: &Partition,
    params: &Params,
    factory: &dyn IndexFactory,
) -> Result<Option<Clustering>, IndexError> {
    let Some(first) = faces.first() else { return Ok(None) };
    let calibration = Calibration::learn(params, first.embedding.len(), faces);
    let mut clustering = Clustering::new(params.clone(), calibration, factory)?;
    clustering.constrain(Constraints::new(facts, faces, previous));
    clustering.insert(faces, factory)?;
    Ok(Some(clustering))
}

/// Gives ids to the groups of an existing clustering, as [`reconcile`] would for the same faces.
pub(crate) fn name(clustering: &Clustering, faces: &[FaceVector], previous: &Partition, facts: &Facts) -> Reconciled {
    let clusters = clustering.partition();
    let known: HashMap<FaceId, &FaceVector> = faces.iter().map(|face| (face.id, face)).collect();
    let person = |face| clustering.constraints().person(face);
    let mut reconciled = identify(&clusters, previous, facts, person, |face| {
        let face = known.get(&face)?;
        Some((face.embedding.as_slice(), face.quality))
    });
    reconciled.partition.suggestions = suggest(clustering, &reconciled.partition.groups, facts);
    reconciled
}
