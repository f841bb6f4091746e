//! The names of the people in one photo: found in it, and to be written to it.

use std::collections::HashSet;

use crate::limits::check_count;
use crate::name::{check_name, clean_name};
use crate::region::SAME_PLACE;
use crate::{Region, RegionKind, Size, XmpError};

/// What a sidecar or a photo says of the people in it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FoundNames {
    /// Width and height of the image that the regions were written for, where the file says so.
    /// Regions are good for a stored image of the same proportions; some programs write the size of
    /// the upright image here.
    pub applied_to: Option<(u32, u32)>,
    /// The regions, faces and others.
    pub regions: Vec<Region>,
    /// Names of people in the photo that no region has.
    pub people: Vec<String>,
}

impl FoundNames {
    /// Adds what another source says that this one does not: regions at other places with other
    /// names, names of regions that have none, names of people.
    #[must_use]
    pub fn merge(mut self, other: Self) -> Self {
        self.applied_to = self.applied_to.or(other.applied_to);
        self.add_regions(other.regions);
        self.people.extend(other.people);
        self.without_doubles()
    }

    /// Adds regions that are not known yet. A face is known where a face of the same name is, or
    /// one at the same place.
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

    /// Takes out of `people` what is there twice or is the name of a face.
    pub(crate) fn without_doubles(mut self) -> Self {
        let mut seen: HashSet<String> = faces(&self.regions).filter_map(|region| region.name.clone()).collect();
        self.people.retain(|name| seen.insert(name.clone()));
        self
    }
}

/// The regions that are faces.
fn faces(regions: &[Region]) -> impl Iterator<Item = &Region> {
    regions.iter().filter(|region| region.kind == RegionKind::Face)
}

/// The smallest side of a region to write: a pixel of the widest photos. Places are written with
/// six decimals, so that smaller ones would not be known again.
const SMALLEST: f64 = 1e-4;

/// The names to be written to one photo.
#[derive(Clone, Copy, Debug)]
pub struct PhotoNames<'a> {
    /// The size of the stored image, before its orientation is applied.
    pub stored: Size,
    /// The faces that have a name. Regions of another kind or without a name are passed over.
    pub regions: &'a [Region],
    /// What muster wrote to this file before, as far as the caller knows. Of these, faces that
    /// `regions` no longer has are removed, and moved ones get their new place. All other regions
    /// in the file are another program's and stay as they are.
    pub formerly: &'a [Region],
}

impl PhotoNames<'_> {
    /// Checks and cleans what is to be written.
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

    /// Returns what was written before, with names as they were written.
    pub(crate) fn formerly(&self) -> Vec<Region> {
        let cleaned = |region: &Region| {
            let name = region.name.as_deref().and_then(clean_name)?;
            Some(Region { name: Some(name), ..region.clone() })
        };
        faces(self.formerly).filter_map(cleaned).collect()
    }
}
