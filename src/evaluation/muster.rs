//! muster's own grouping of labelled faces.

use muster_actors::domain::gallery::GallerySnapshot;
use muster_actors::grouping::{Params, reconcile};
use muster_actors::ports::index::{IndexError, IndexFactory};

use crate::{Groups, LabelledFaces};

/// Groups the faces as `muster index` would, without anything that people said.
pub fn group(library: &LabelledFaces, params: &Params, factory: &dyn IndexFactory) -> Result<Groups, IndexError> {
    let snapshot = GallerySnapshot { faces: library.faces().to_vec(), ..GallerySnapshot::default() };
    let partition = reconcile(snapshot, params, factory)?.partition;
    let groups: Vec<_> = partition.groups.into_iter().map(|group| group.faces).collect();
    Ok(library.positions(&groups))
}
