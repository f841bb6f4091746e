//! Reads the names of people from XMP.

use crate::container::find_packet;
use crate::limits::check_count;
use crate::listing::Schema;
use crate::parser::{parse, text};
use crate::people;
use crate::{FoundNames, XmpError};

/// Reads the names in a sidecar file or an XMP packet.
///
/// Regions of the Metadata Working Group take precedence over Microsoft's: only those faces of the
/// latter are added that have another name and another place. Names that are empty or longer than
/// `MAX_NAME_CHARS` are ignored, and so are regions without an area in the image.
///
/// # Errors
/// [`XmpError::TooLarge`], [`XmpError::TooManyRegions`] or [`XmpError::TooComplex`] when the packet
/// exceeds a limit; [`XmpError::NotUtf8`], [`XmpError::Malformed`], [`XmpError::DocumentType`] or
/// [`XmpError::Entity`] when it is not XML that muster reads; [`XmpError::NoRdf`] when it is XML
/// but not XMP.
pub fn read_packet(packet: &[u8]) -> Result<FoundNames, XmpError> {
    // Some programs end a packet with zeros, which XML does not allow.
    let end = packet.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    let document = parse(text(&packet[..end])?)?;
    let rdf = document.rdf()?;
    let listings = |schema: Schema| {
        let (namespace, local) = schema.property();
        let elements = document.property(rdf, namespace, local).into_iter().filter_map(|value| value.element());
        elements.map(|element| schema.read(&document, element)).collect::<Vec<_>>()
    };
    let mut found = FoundNames::default();
    for listing in listings(Schema::Mwg) {
        found.applied_to = found.applied_to.or(listing.dimensions.and_then(|dimensions| dimensions.size));
        check_count(found.regions.len() + listing.regions.len())?;
        found.regions.extend(listing.regions.into_iter().filter_map(|listed| listed.region));
    }
    let windows: Vec<_> = listings(Schema::Microsoft).into_iter().flat_map(|listing| listing.regions).collect();
    check_count(found.regions.len() + windows.len())?;
    found.add_regions(windows.into_iter().filter_map(|listed| listed.region).collect());
    found.people = people::read(&document, rdf);
    check_count(found.people.len())?;
    Ok(found.without_doubles())
}

/// Reads the names in the XMP of a JPEG, PNG, WebP or HEIC image. The result is empty for an image
/// without XMP.
///
/// # Errors
/// As [`read_packet`]; also [`XmpError::UnknownFormat`] when the bytes are no image of these
/// formats, and [`XmpError::DamagedImage`] when its segments, chunks or boxes are damaged.
pub fn read_image(image: &[u8]) -> Result<FoundNames, XmpError> {
    let Some(packet) = find_packet(image)? else { return Ok(FoundNames::default()) };
    let main = read_packet(&packet.main)?;
    match packet.extended {
        Some(extended) => Ok(main.merge(read_packet(&extended)?)),
        None => Ok(main),
    }
}
