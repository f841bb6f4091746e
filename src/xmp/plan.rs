//! Plans which regions of a list stay, move, are removed or are added.

use crate::document::ElementId;
use crate::listing::{ListedRegion, Listing, Schema};
use crate::{Region, RegionKind};

/// The changes of a list of regions.
#[derive(Debug, Default)]
pub(crate) struct RegionPlan<'d> {
    /// Items that muster wrote before and that are no longer wanted.
    pub(crate) remove: Vec<ElementId>,
    /// Regions that muster wrote before, with their new position.
    pub(crate) moved: Vec<(&'d ListedRegion, &'d Region)>,
    /// Regions that the list does not have yet.
    pub(crate) add: Vec<&'d Region>,
    /// Regions that stay in the list.
    pub(crate) kept: Vec<&'d Region>,
    /// Whether regions stay that muster wrote before.
    pub(crate) keeps_ours: bool,
    /// Whether regions stay that are not among the wanted ones.
    pub(crate) keeps_others: bool,
    /// Whether the list loses all its regions and gets none.
    pub(crate) empties: bool,
}

impl<'d> RegionPlan<'d> {
    /// Compares a list with the faces that it should have. Each wanted face corresponds to the face
    /// of the list that has its name and overlaps it most. Regions of other programs stay.
    pub(crate) fn new(schema: Schema, listing: &'d Listing, wanted: &'d [Region], formerly: &[Region]) -> Self {
        let mut plan = Self::default();
        let mut faces: Vec<Option<&Region>> = vec![None; listing.regions.len()];
        for region in wanted {
            let free = listing.regions.iter().enumerate().filter(|(number, _)| faces[*number].is_none());
            let same = free.filter_map(|(number, listed)| {
                let face = face(listed).filter(|face| face.is_same_face(region))?;
                Some((number, face.overlap(region)))
            });
            match same.max_by(|a, b| a.1.total_cmp(&b.1)) {
                Some((number, _)) => faces[number] = Some(region),
                None => plan.add.push(region),
            }
        }
        for (listed, wanted) in listing.regions.iter().zip(faces) {
            let face = face(listed);
            let is_ours = face.is_some_and(|face| formerly.iter().any(|former| former.is_same_face(face)));
            match (face, wanted) {
                (Some(face), Some(wanted)) if is_ours && schema.place(face, "") != schema.place(wanted, "") => {
                    plan.moved.push((listed, wanted));
                }
                (_, None) if is_ours => {
                    plan.remove.push(listed.item);
                    continue;
                }
                (_, None) => plan.keeps_others = true,
                _ => {}
            }
            plan.keeps_ours |= is_ours;
            plan.kept.extend(&listed.region);
        }
        plan.empties = !plan.remove.is_empty() && plan.remove.len() == listing.regions.len() && plan.add.is_empty();
        plan
    }
}

/// Returns the region of an item, if it is a face.
fn face(listed: &ListedRegion) -> Option<&Region> {
    listed.region.as_ref().filter(|region| region.kind == RegionKind::Face)
}
