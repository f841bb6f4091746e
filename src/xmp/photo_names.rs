//! The names of the people in one photo: those found in it, and those to be written to it.

use std::collections::HashSet;

use crate::limits::check_count;
use crate::name::{check_name, clean_name};
use crate::region::SAME_PLACE;
use crate::{Region, RegionKind, Size, XmpError};

/// The people that a sidecar or a photo names.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FoundNames {
    /// Width and height of the image for which the regions were written, where the file has them.
    /// The regions fit a stored image of the same proportions. Some programs write the size of the
    /// upright image here.
    pub applied_to: Option<(u32, u32)>,
    /// Regions of faces and of other things.
    pub regions: Vec<Region>,
    /// Names of people in the photo that no region has.
    pub people: Vec<String>,
}

impl FoundNames {
    /// Adds what only the other source has: regions at other places with other names, names of
    /// regions without one, and names of people.
    #[must_use]
    pub fn merge(mut self, other: Self) -> Self {
        self.applied_to = self.applied_to.or(other.applied_to);
        self.add_regions(other.regions);
        self.people.extend(other.people);
        self.without_doubles()
    }

    /// Adds regions that are new. A face is not new if a known face has the same name or the same
    /// place.
    pub(crate) fn add_regions(&mut self, others: Vec<Region>) {
        let known = self.regions.len();
        let names: HashSet<String> = faces(&self.regions).filter_map(|region| region.name.clone()).collect();
        for other in others {
            let same_place = |region: &Region| region.kind == other.kind && region.overlap(&other) > SAME_PLACE;
            let place = self.regions[..known].iter_mut().find(|region| same_place(region));
            let named = other.kind == RegionKind::Face && other.name.as_ref().is_some_and(|name| names.contains(name));
            match place {
                Some(region) if region.name.is_none() && !named => region.name = other.name,
                None if !named => self.regions.push(other),
                _ => {}
            }
        }
    }

    /// Removes names from `people` that occur twice or belong to a face.
    pub(crate) fn without_doubles(mut self) -> Self {
        let mut seen: HashSet<String> = faces(&self.regions).filter_map(|region| region.name.clone()).collect();
        self.people.retain(|name| seen.insert(name.clone()));
        self
    }
}

/// Returns the regions that are faces.
fn faces(regions: &[Region]) -> impl Iterator<Item = &Region> {
    regions.iter().filter(|region| region.kind == RegionKind::Face)
}

/// Smallest side of a region that is written: a pixel of the widest photos. Positions are written
/// with six decimals, so a smaller region would not be recognised later.
const SMALLEST: f64 = 1e-4;

/// The names to be written to one photo.
#[derive(Clone, Copy, Debug)]
pub struct PhotoNames<'a> {
    /// Size of the stored image, before its orientation is applied.
    pub stored: Size,
    /// Faces with names. Regions of another kind or without a name are ignored.
    pub regions: &'a [Region],
    /// Regions that muster wrote to this file before, as far as the caller knows. Those that
    /// `regions` no longer contains are removed, and moved ones get their new position. All other
    /// regions in the file belong to other programs and stay as they are.
    pub formerly: &'a [Region],
}

impl PhotoNames<'_> {
    /// Checks and cleans the regions that are to be written.
    ///
    /// # Errors
    /// `TooManyRegions`, `EmptyName`, `NameTooLong`, `NoArea`.
    pub(crate) fn wanted(&self) -> Result<Vec<Region>, XmpError> {
        check_count(self.regions.len())?;
        if self.stored.width == 0 || self.stored.height == 0 {
            return Err(XmpError::NoArea);
        }
        let check = |region: &Region| {
            let Some(name) = region.name.as_deref() else { return Ok(None) };
            let (left, top) = (region.left(), region.top());
            let cut = Region::between(Some(check_name(name)?), (left, top), (left + region.w, top + region.h));
            let cut = cut.filter(|_| region.w > 0.0 && region.h > 0.0);
            cut.filter(|cut| cut.w >= SMALLEST && cut.h >= SMALLEST).map(Some).ok_or(XmpError::NoArea)
        };
        faces(self.regions).filter_map(|region| check(region).transpose()).collect()
    }

    /// Returns the regions that were written before, with names as they were written.
    pub(crate) fn formerly(&self) -> Vec<Region> {
        let cleaned = |region: &Region| {
            let name = region.name.as_deref().and_then(clean_name)?;
            Some(Region { name: Some(name), ..region.clone() })
        };
        faces(self.formerly).filter_map(cleaned).collect()
    }
}
