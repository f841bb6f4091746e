//! Reads and writes regions of the Metadata Working Group (Guidelines for Handling Image Metadata
//! 2.0, section 5.9): each has the middle and the size, in an image of the size
//! `AppliedToDimensions`.

use crate::document::{Document, ElementId};
use crate::fragment::{Fragment, attribute, number};
use crate::listing::{Dimensions, ListedRegion, Listing, field_number, field_text};
use crate::name::clean_name;
use crate::namespace::Namespace;
use crate::{Region, RegionKind, Size};

/// Reads the list of a property.
pub(crate) fn read(document: &Document<'_>, property: ElementId) -> Listing {
    let element = |local| document.field(property, Namespace::Mwg, local).and_then(|value| value.element());
    let dimensions = element("AppliedToDimensions").map(|element| read_dimensions(document, element));
    let size = dimensions.as_ref().and_then(|dimensions| dimensions.size);
    let list = element("RegionList");
    let items = list.map(|list| document.items(list)).unwrap_or_default();
    let regions = items.into_iter().map(|item| read_item(document, item, size)).collect();
    Listing { list, regions, dimensions }
}

fn read_dimensions(document: &Document<'_>, element: ElementId) -> Dimensions {
    let side = |local| {
        let number = field_number(document, element, Namespace::Dimensions, local)?;
        (1.0..=f64::from(u32::MAX)).contains(&number).then_some(number as u32)
    };
    let unit = field_text(document, element, Namespace::Dimensions, "unit");
    Dimensions { element, size: side("w").zip(side("h")), in_pixels: unit.as_deref() == Some("pixel") }
}

fn read_item(document: &Document<'_>, item: ElementId, size: Option<(u32, u32)>) -> ListedRegion {
    let area = document.field(item, Namespace::Mwg, "Area").and_then(|value| value.element());
    let place = area.map_or(0..0, |area| document.element(area).span());
    let around = area.and_then(|area| document.element(area).parent).unwrap_or(item);
    ListedRegion { item, region: area.and_then(|area| read_region(document, item, area, size)), place, around }
}

fn read_region(document: &Document<'_>, item: ElementId, area: ElementId, size: Option<(u32, u32)>) -> Option<Region> {
    let side = |local| field_number(document, area, Namespace::Area, local);
    let (x, y, w, h) = (side("x")?, side("y")?, side("w")?, side("h")?);
    let (columns, rows) = match field_text(document, area, Namespace::Area, "unit").as_deref() {
        None | Some("normalized") => (1.0, 1.0),
        // Some programs write pixels, although the guidelines only know fractions.
        Some("pixel") => size.map(|(width, height)| (f64::from(width), f64::from(height)))?,
        Some(_) => return None,
    };
    if !(w > 0.0 && h > 0.0) {
        return None;
    }
    let name = field_text(document, item, Namespace::Mwg, "Name").and_then(|name| clean_name(&name));
    let first = ((x - w / 2.0) / columns, (y - h / 2.0) / rows);
    let last = ((x + w / 2.0) / columns, (y + h / 2.0) / rows);
    let kind = match field_text(document, item, Namespace::Mwg, "Type").as_deref() {
        None | Some("" | "Face") => RegionKind::Face,
        Some("Pet") => RegionKind::Pet,
        Some("Focus") => RegionKind::Focus,
        Some("BarCode") => RegionKind::BarCode,
        Some(_) => RegionKind::Other,
    };
    Some(Region { kind, ..Region::between(name, first, last)? })
}

/// Writes the size of the stored image.
pub(crate) fn dimensions(stored: Size, declarations: &str) -> String {
    let Size { width, height } = stored;
    format!("<mwg-rs:AppliedToDimensions{declarations} stDim:w=\"{width}\" stDim:h=\"{height}\" stDim:unit=\"pixel\"/>")
}

/// Writes the position of a region.
pub(crate) fn area(region: &Region, declarations: &str) -> String {
    let sides = [("x", region.x), ("y", region.y), ("w", region.w), ("h", region.h)];
    let sides: String = sides.iter().map(|(side, value)| format!(" stArea:{side}=\"{}\"", number(*value))).collect();
    format!("<mwg-rs:Area{declarations}{sides} stArea:unit=\"normalized\"/>")
}

/// Writes a face as an item of the list.
pub(crate) fn item(region: &Region, declarations: &str) -> Fragment {
    let name = attribute("mwg-rs:Name", region.name.as_deref().unwrap_or_default());
    let mut item = Fragment::default();
    item.line(0, format!("<rdf:li{declarations}>"));
    item.line(1, format!("<rdf:Description mwg-rs:Type=\"Face\"{name}>"));
    item.line(2, area(region, ""));
    item.line(1, "</rdf:Description>".to_owned()).line(0, "</rdf:li>".to_owned());
    item
}
