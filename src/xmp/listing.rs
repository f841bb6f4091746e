//! A list of regions in a document, in either schema, with the place of each part in the text.

use std::ops::Range;

use crate::document::{Document, ElementId};
use crate::fragment::Fragment;
use crate::namespace::Namespace;
use crate::rdf::Value;
use crate::{Region, Size, microsoft, mwg};

/// The schema in which a list of regions is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Schema {
    /// The Metadata Working Group's schema, `mwg-rs:Regions`.
    Mwg,
    /// Microsoft's schema, `MP:RegionInfo`.
    Microsoft,
}

/// One region of a list.
#[derive(Debug)]
pub(crate) struct ListedRegion {
    /// The `rdf:li` element of the region.
    pub(crate) item: ElementId,
    /// The parsed region; `None` where muster cannot read it.
    pub(crate) region: Option<Region>,
    /// The bytes that give its position.
    pub(crate) place: Range<usize>,
    /// The element around these bytes.
    pub(crate) around: ElementId,
}

/// The size of the image for which regions were written.
#[derive(Debug)]
pub(crate) struct Dimensions {
    /// The element with the size.
    pub(crate) element: ElementId,
    /// Width and height, where they can be read.
    pub(crate) size: Option<(u32, u32)>,
    /// Whether the unit is the pixel.
    pub(crate) in_pixels: bool,
}

/// A list of regions.
#[derive(Debug)]
pub(crate) struct Listing {
    /// The field that contains the list.
    pub(crate) list: Option<ElementId>,
    /// Regions of the list, in its order.
    pub(crate) regions: Vec<ListedRegion>,
    /// The size of the image, which only the Metadata Working Group's schema has.
    pub(crate) dimensions: Option<Dimensions>,
}

impl Schema {
    /// Returns the namespace and name of the property.
    pub(crate) fn property(self) -> (Namespace, &'static str) {
        match self {
            Self::Mwg => (Namespace::Mwg, "Regions"),
            Self::Microsoft => (Namespace::Microsoft, "RegionInfo"),
        }
    }

    /// Returns the name of the property for messages.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Mwg => "mwg-rs:Regions",
            Self::Microsoft => "MP:RegionInfo",
        }
    }

    /// Returns the namespaces of its elements.
    pub(crate) fn namespaces(self) -> &'static [Namespace] {
        match self {
            Self::Mwg => &[Namespace::Rdf, Namespace::Mwg, Namespace::Dimensions, Namespace::Area],
            Self::Microsoft => {
                &[Namespace::Rdf, Namespace::Microsoft, Namespace::MicrosoftList, Namespace::MicrosoftRegion]
            }
        }
    }

    /// Reads the list of a property.
    pub(crate) fn read(self, document: &Document<'_>, property: ElementId) -> Listing {
        match self {
            Self::Mwg => mwg::read(document, property),
            Self::Microsoft => microsoft::read(document, property),
        }
    }

    /// Writes the position of a region, to replace an older one.
    pub(crate) fn place(self, region: &Region, declarations: &str) -> String {
        match self {
            Self::Mwg => mwg::area(region, declarations),
            Self::Microsoft => microsoft::rectangle(region),
        }
    }

    /// Writes an item of the list.
    pub(crate) fn item(self, region: &Region, declarations: &str) -> Fragment {
        match self {
            Self::Mwg => mwg::item(region, declarations),
            Self::Microsoft => microsoft::item(region, declarations),
        }
    }

    /// Writes the field with the list.
    pub(crate) fn list(self, regions: &[&Region], declarations: &str) -> Fragment {
        let tag = match self {
            Self::Mwg => "mwg-rs:RegionList",
            Self::Microsoft => "MPRI:Regions",
        };
        let mut list = Fragment::default();
        list.line(0, format!("<{tag}{declarations}>")).line(1, "<rdf:Bag>".to_owned());
        for region in regions {
            list.nest(2, self.item(region, ""));
        }
        list.line(1, "</rdf:Bag>".to_owned()).line(0, format!("</{tag}>"));
        list
    }

    /// Writes the whole property.
    pub(crate) fn whole(self, regions: &[&Region], stored: Size, declarations: &str) -> Fragment {
        let tag = self.title();
        let mut property = Fragment::default();
        property.line(0, format!("<{tag}{declarations} rdf:parseType=\"Resource\">"));
        if self == Self::Mwg {
            property.line(1, mwg::dimensions(stored, ""));
        }
        property.nest(1, self.list(regions, "")).line(0, format!("</{tag}>"));
        property
    }
}

/// Reads the text of a field.
pub(crate) fn field_text(
    document: &Document<'_>,
    structure: ElementId,
    namespace: Namespace,
    local: &'static str,
) -> Option<String> {
    let value: Value = document.field(structure, namespace, local)?;
    Some(document.text_of(value).trim().to_owned())
}

/// Reads a number of a field.
pub(crate) fn field_number(
    document: &Document<'_>,
    structure: ElementId,
    namespace: Namespace,
    local: &'static str,
) -> Option<f64> {
    field_text(document, structure, namespace, local)?.parse().ok().filter(|number: &f64| number.is_finite())
}
