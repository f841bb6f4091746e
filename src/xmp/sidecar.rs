//! Writes the names of people into XMP, and changes nothing else in it.

use crate::container::{ImageFormat, embed_packet, find_packet};
use crate::listing::Schema;
use crate::namespace::Namespace;
use crate::parser::{parse, text};
use crate::update::update;
use crate::{PhotoNames, XmpError};

/// XMP without a property: the start of a new sidecar, and what remains after all names were
/// removed.
const SHELL: &str = "<?xpacket begin=\"\u{feff}\" id=\"W5M0MpCehiHzreSzNTczkc9d\"?>
<x:xmpmeta xmlns:x=\"adobe:ns:meta/\" x:xmptk=\"muster\">
 <rdf:RDF xmlns:rdf=\"http://www.w3.org/1999/02/22-rdf-syntax-ns#\">
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end=\"w\"?>
";

/// Returns the text of a sidecar file with the names of the people in the photo. `None` means that
/// the photo needs no sidecar: either there is neither a file nor a name, or the file contained
/// only names of muster that are all removed.
///
/// Faces are written as regions of the Metadata Working Group and of Microsoft, and their names
/// also in IPTC's `PersonInImage`. A face that the file has already, with the same name at the same
/// place, stays as another program wrote it. Everything else in the file stays as it is, byte for
/// byte; writing the same names again changes nothing. Control characters in names are not written.
///
/// # Errors
/// As [`crate::read_packet`] for the present text; [`XmpError::Layout`] when a property has a form
/// to which names cannot be added; [`XmpError::OtherDimensions`] when its regions are for another
/// crop of the photo; [`XmpError::EmptyName`], [`XmpError::NameTooLong`] or [`XmpError::NoArea`]
/// when a name or region to write is invalid.
pub fn write_sidecar(existing: Option<&[u8]>, names: &PhotoNames<'_>) -> Result<Option<Vec<u8>>, XmpError> {
    let existing = existing.map(text).transpose()?.filter(|text| !text.trim().is_empty());
    let wanted = names.wanted()?;
    let source = match existing {
        None if wanted.is_empty() => return Ok(None),
        None => SHELL,
        Some(existing) => existing,
    };
    let written = update(source, &wanted, names)?;
    Ok((written != SHELL).then(|| written.into_bytes()))
}

/// Returns an image with the names of the people in its XMP, or `None` where nothing changes.
/// Pixels and all other metadata stay as they are, byte for byte.
///
/// # Errors
/// As [`write_sidecar`] for the packet, [`crate::read_image`] for the image, and [`embed_packet`]
/// for the result; also [`XmpError::CannotEmbed`] when regions are in extended XMP, which muster
/// only reads.
pub fn write_image(image: &[u8], names: &PhotoNames<'_>) -> Result<Option<Vec<u8>>, XmpError> {
    let packet = find_packet(image)?;
    let extended = packet.as_ref().and_then(|packet| packet.extended.as_deref());
    if extended.map(has_names).transpose()? == Some(true) {
        let reason = "its regions are in extended XMP, which muster only reads";
        return Err(XmpError::CannotEmbed { format: ImageFormat::Jpeg, reason });
    }
    let existing = packet.map(|packet| packet.main);
    let written = write_sidecar(existing.as_deref(), names)?;
    if written == existing { Ok(None) } else { embed_packet(image, written.as_deref()).map(Some) }
}

/// Returns whether a packet has one of the properties that muster writes.
fn has_names(packet: &[u8]) -> Result<bool, XmpError> {
    let document = parse(text(packet)?)?;
    let rdf = document.rdf()?;
    let properties = [Schema::Mwg.property(), Schema::Microsoft.property(), (Namespace::Iptc, "PersonInImage")];
    Ok(properties.iter().any(|(namespace, local)| !document.property(rdf, *namespace, local).is_empty()))
}
