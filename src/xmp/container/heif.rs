//! Finds XMP in an item of a HEIC (ISO/IEC 23008-12 annex A.3; ISO/IEC 14496-12 sections 8.11.3 and
//! 8.11.6).

use super::{ImageFormat, big_endian};
use crate::XmpError;
use crate::limits::check_bytes;

const CONTENT_TYPE: &[u8] = b"application/rdf+xml";
/// Most pieces of which an item may consist.
const MAX_PIECES: u64 = 1024;

/// Returns whether the bytes begin an ISO base media file with the brand of a still image.
pub(super) fn is_heif(image: &[u8]) -> bool {
    let brands: [&[u8]; 9] = [b"heic", b"heix", b"heim", b"heis", b"mif1", b"msf1", b"avif", b"avis", b"hevc"];
    image.get(4..8) == Some(b"ftyp") && image.get(8..12).is_some_and(|brand| brands.contains(&brand))
}

fn damaged(reason: &'static str) -> XmpError {
    XmpError::DamagedImage { format: ImageFormat::Heif, reason }
}

/// Finds the packet.
pub(super) fn find(image: &[u8]) -> Result<Option<Vec<u8>>, XmpError> {
    // `meta` is a full box: four bytes of version and flags before its children.
    let Some(meta) = child(image, b"meta").and_then(|body| body.get(4..)) else { return Ok(None) };
    let Some(item) = child(meta, b"iinf").and_then(packet_item) else { return Ok(None) };
    let locations = child(meta, b"iloc").ok_or(damaged("it does not say where its XMP is"))?;
    let spans = spans(locations, item).ok_or(damaged("it does not say where its XMP is"))?;
    let within = if spans.in_meta { child(meta, b"idat").unwrap_or_default() } else { image };
    let mut packet = Vec::new();
    for (start, length) in spans.pieces {
        let span = usize::try_from(start).ok().zip(usize::try_from(length).ok());
        let piece = span.and_then(|(start, length)| within.get(start..start.checked_add(length)?));
        let piece = piece.ok_or(damaged("its XMP is cut off"))?;
        check_bytes(packet.len() + piece.len())?;
        packet.extend_from_slice(piece);
    }
    Ok(Some(packet))
}

/// Returns the id of the item with XMP among the item infos: it has the type `mime`, and XMP's
/// content type after its name.
fn packet_item(infos: &[u8]) -> Option<u64> {
    let count = if infos.first()? == &0 { 2 } else { 4 };
    boxes(infos.get(4 + count..)?).filter(|(kind, _)| kind == b"infe").find_map(|(_, info)| {
        let mut fields = Fields(info);
        let id_size = match fields.number(1)? {
            2 => 2,
            3 => 4,
            _ => return None,
        };
        fields.skip(3)?;
        let id = fields.number(id_size)?;
        fields.skip(2)?;
        let rest = fields.0.strip_prefix(b"mime")?;
        let content_type = rest.splitn(3, |byte| *byte == 0).nth(1)?;
        content_type.eq_ignore_ascii_case(CONTENT_TYPE).then_some(id)
    })
}

/// The pieces of an item, each with its start and length in bytes.
struct Spans {
    in_meta: bool,
    pieces: Vec<(u64, u64)>,
}

/// Finds the pieces of an item in the item locations.
fn spans(locations: &[u8], item: u64) -> Option<Spans> {
    let mut fields = Fields(locations);
    let version = fields.number(1).filter(|version| *version <= 2)?;
    fields.skip(3)?;
    let (sizes, more) = (fields.number(1)? as usize, fields.number(1)? as usize);
    let (offset_size, length_size, base_size) = (sizes >> 4, sizes & 15, more >> 4);
    let index_size = if version == 0 { 0 } else { more & 15 };
    let id_size = if version == 2 { 4 } else { 2 };
    for _ in 0..fields.number(id_size)? {
        let id = fields.number(id_size)?;
        let method = if version == 0 { 0 } else { fields.number(2)? & 15 };
        // A nonzero value says that the item lies in another file.
        let elsewhere = fields.number(2)?;
        let base = fields.number(base_size)?;
        let count = fields.number(2)?;
        if id != item {
            fields.skip(count as usize * (index_size + offset_size + length_size))?;
            continue;
        }
        if method > 1 || elsewhere != 0 || count > MAX_PIECES {
            return None;
        }
        let mut piece = || {
            fields.skip(index_size)?;
            let start = base.checked_add(fields.number(offset_size)?)?;
            Some((start, fields.number(length_size)?))
        };
        let pieces = (0..count).map(|_| piece()).collect::<Option<_>>()?;
        return Some(Spans { in_meta: method == 1, pieces });
    }
    None
}

/// Reads the fields of a box one after another.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    /// Reads the next number, of at most eight bytes.
    fn number(&mut self, bytes: usize) -> Option<u64> {
        let (number, rest) = self.0.split_at_checked(bytes).filter(|_| bytes <= 8)?;
        self.0 = rest;
        Some(big_endian(number))
    }

    fn skip(&mut self, bytes: usize) -> Option<()> {
        self.0 = self.0.get(bytes..)?;
        Some(())
    }
}

/// Returns the body of the first child box of a kind.
fn child<'a>(bytes: &'a [u8], kind: &[u8; 4]) -> Option<&'a [u8]> {
    boxes(bytes).find(|(found, _)| found == kind).map(|(_, body)| body)
}

/// Iterates over the boxes of a container (ISO/IEC 14496-12 section 4.2), up to one that is cut
/// off.
fn boxes(mut bytes: &[u8]) -> impl Iterator<Item = ([u8; 4], &[u8])> {
    std::iter::from_fn(move || {
        let kind = *bytes.get(4..)?.first_chunk::<4>()?;
        let (header, size) = match big_endian(bytes.get(..4)?) {
            0 => (8, bytes.len()),
            1 => (16, usize::try_from(big_endian(bytes.get(8..16)?)).ok()?),
            size => (8, size as usize),
        };
        let (part, rest) = bytes.split_at_checked(size)?;
        bytes = rest;
        Some((kind, part.get(header..)?))
    })
}
