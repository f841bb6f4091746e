//! Reads and writes regions as Windows does (Microsoft's "People Tagging"): each has the left and
//! top edge and the size, as one text.

use crate::Region;
use crate::document::{Document, ElementId};
use crate::fragment::{Fragment, attribute, number};
use crate::listing::{ListedRegion, Listing, field_text};
use crate::name::clean_name;
use crate::namespace::Namespace;
use crate::rdf::Value;

/// Reads the list of a property.
pub(crate) fn read(document: &Document<'_>, property: ElementId) -> Listing {
    let list = document.field(property, Namespace::MicrosoftList, "Regions").and_then(Value::element);
    let items = list.map(|list| document.items(list)).unwrap_or_default();
    let regions = items.into_iter().map(|item| read_item(document, item)).collect();
    Listing { list, regions, dimensions: None }
}

fn read_item(document: &Document<'_>, item: ElementId) -> ListedRegion {
    let rectangle = document.field(item, Namespace::MicrosoftRegion, "Rectangle");
    let place = match rectangle {
        Some(Value::Attribute(number)) => document.value_span(&document.attributes[number]),
        Some(Value::Element(element)) => document.element(element).open.end..document.element(element).close.start,
        None => 0..0,
    };
    let region = rectangle.and_then(|value| read_region(document, item, value));
    ListedRegion { item, region, place, around: item }
}

fn read_region(document: &Document<'_>, item: ElementId, rectangle: Value) -> Option<Region> {
    let text = document.text_of(rectangle);
    let numbers: Vec<f64> = text.split(',').map(|side| side.trim().parse().ok()).collect::<Option<_>>()?;
    let &[left, top, width, height] = numbers.as_slice() else { return None };
    if !(width > 0.0 && height > 0.0) {
        return None;
    }
    let name = field_text(document, item, Namespace::MicrosoftRegion, "PersonDisplayName");
    Region::between(name.and_then(|name| clean_name(&name)), (left, top), (left + width, top + height))
}

/// Writes the position of a region.
pub(crate) fn rectangle(region: &Region) -> String {
    [region.left(), region.top(), region.w, region.h].map(number).join(", ")
}

/// Writes a face as an item of the list.
pub(crate) fn item(region: &Region, declarations: &str) -> Fragment {
    let name = attribute("MPReg:PersonDisplayName", region.name.as_deref().unwrap_or_default());
    let mut item = Fragment::default();
    item.line(0, format!("<rdf:li{declarations} MPReg:Rectangle=\"{}\"{name}/>", rectangle(region)));
    item
}
