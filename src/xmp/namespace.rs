//! The XML namespaces of names in photos.

/// A namespace that muster reads or writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Namespace {
    /// RDF, the grammar of XMP.
    Rdf,
    /// Regions of the Metadata Working Group.
    Mwg,
    /// Areas of regions.
    Area,
    /// Sizes of images.
    Dimensions,
    /// Microsoft's list of regions: the property.
    Microsoft,
    /// Microsoft's list of regions: the list.
    MicrosoftList,
    /// Microsoft's list of regions: one region.
    MicrosoftRegion,
    /// IPTC's extension schema, with the people in an image.
    Iptc,
    /// digiKam's tags.
    DigiKam,
    /// Lightroom's keywords.
    Lightroom,
    /// The declarations of namespaces themselves.
    Declaration,
    /// Any other namespace.
    Other,
}

/// Each namespace with the prefix that muster writes and with its URI.
const NAMESPACES: [(Namespace, &str, &str); 10] = [
    (Namespace::Rdf, "rdf", "http://www.w3.org/1999/02/22-rdf-syntax-ns#"),
    (Namespace::Mwg, "mwg-rs", "http://www.metadataworkinggroup.com/schemas/regions/"),
    (Namespace::Area, "stArea", "http://ns.adobe.com/xmp/sType/Area#"),
    (Namespace::Dimensions, "stDim", "http://ns.adobe.com/xap/1.0/sType/Dimensions#"),
    (Namespace::Microsoft, "MP", "http://ns.microsoft.com/photo/1.2/"),
    (Namespace::MicrosoftList, "MPRI", "http://ns.microsoft.com/photo/1.2/t/RegionInfo#"),
    (Namespace::MicrosoftRegion, "MPReg", "http://ns.microsoft.com/photo/1.2/t/Region#"),
    (Namespace::Iptc, "Iptc4xmpExt", "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"),
    (Namespace::DigiKam, "digiKam", "http://www.digikam.org/ns/1.0/"),
    (Namespace::Lightroom, "lr", "http://ns.adobe.com/lightroom/1.0/"),
];

impl Namespace {
    /// Finds the namespace of a URI.
    pub(crate) fn from_uri(uri: &str) -> Self {
        NAMESPACES.iter().find(|(.., known)| *known == uri).map_or(Self::Other, |(namespace, ..)| *namespace)
    }

    /// Returns the prefix that muster writes and the URI. Empty for what muster does not write.
    pub(crate) fn prefix_and_uri(self) -> (&'static str, &'static str) {
        let found = NAMESPACES.iter().find(|(namespace, ..)| *namespace == self);
        found.map_or(("", ""), |(_, prefix, uri)| (*prefix, *uri))
    }
}
