//! Finds and writes XMP in the APP1 segments of a JPEG (XMP specification part 3, section 1.1.3).

use std::ops::Range;

use super::{ImageFormat, Packet, big_endian, replaced};
use crate::XmpError;
use crate::limits::check_bytes;

const PACKET: &[u8] = b"http://ns.adobe.com/xap/1.0/\0";
const EXTENDED: &[u8] = b"http://ns.adobe.com/xmp/extension/\0";
/// Longest body of a segment in bytes: its length has 16 bits and counts itself.
const MAX_BODY: usize = 0xFFFF - 2;

const APP0: u8 = 0xE0;
const APP1: u8 = 0xE1;
const APP2: u8 = 0xE2;

struct Segment {
    marker: u8,
    /// Bytes of the segment, from its marker to its end.
    span: Range<usize>,
    body: Range<usize>,
}

fn damaged(reason: &'static str) -> XmpError {
    XmpError::DamagedImage { format: ImageFormat::Jpeg, reason }
}

/// Lists the segments before the first scan (ITU-T T.81 annex B).
fn segments(image: &[u8]) -> Result<Vec<Segment>, XmpError> {
    let mut segments = Vec::new();
    let mut at = 2;
    loop {
        let start = at;
        if image.get(at) != Some(&0xFF) {
            return Err(damaged("a marker is missing"));
        }
        // Any number of fill bytes may come before a marker.
        while image.get(at) == Some(&0xFF) {
            at += 1;
        }
        let marker = *image.get(at).ok_or(damaged("it ends before the image begins"))?;
        at += 1;
        match marker {
            0x01 | 0xD0..=0xD8 => continue,
            0xD9 | 0xDA => return Ok(segments),
            _ => {}
        }
        let length = image.get(at..at + 2).map_or(0, |length| big_endian(length) as usize);
        if length < 2 || at + length > image.len() {
            return Err(damaged("a segment is cut off"));
        }
        segments.push(Segment { marker, span: start..at + length, body: at + 2..at + length });
        at += length;
    }
}

/// Returns the body of a segment after a prefix.
fn body<'a>(image: &'a [u8], segment: &Segment, marker: u8, prefix: &[u8]) -> Option<&'a [u8]> {
    (segment.marker == marker).then(|| image[segment.body.clone()].strip_prefix(prefix)).flatten()
}

/// Finds the packet, and the extended packet that it names.
pub(super) fn find(image: &[u8]) -> Result<Option<Packet>, XmpError> {
    let segments = segments(image)?;
    let Some(main) = segments.iter().find_map(|segment| body(image, segment, APP1, PACKET)) else { return Ok(None) };
    let parts = segments.iter().filter_map(|segment| body(image, segment, APP1, EXTENDED));
    let id = extended_id(main);
    let mut named = parts.filter(|part| id.is_some() && part.get(..32) == id);
    let extended = match named.next() {
        Some(first) => Some(joined(std::iter::once(first).chain(named))?),
        None => None,
    };
    Ok(Some(Packet { main: main.to_vec(), extended }))
}

/// Returns the id of the extended packet (32 hexadecimal digits), which the main packet has in
/// `xmpNote:HasExtendedXMP`.
fn extended_id(main: &[u8]) -> Option<&[u8]> {
    const NAME: &[u8] = b"HasExtendedXMP";
    let behind = main.windows(NAME.len()).position(|text| text == NAME)? + NAME.len();
    let near = &main[behind..main.len().min(behind + 64)];
    near.windows(32).find(|text| text.iter().all(u8::is_ascii_hexdigit))
}

/// Joins the parts of an extended packet. Each part has the id, the length of the whole and its own
/// place.
fn joined<'a>(parts: impl Iterator<Item = &'a [u8]>) -> Result<Vec<u8>, XmpError> {
    let mut placed = Vec::new();
    let mut whole = None;
    for part in parts {
        let header = part.get(32..40).ok_or(damaged("a part of the extended XMP is cut off"))?;
        let length = big_endian(&header[..4]) as usize;
        check_bytes(length)?;
        if *whole.get_or_insert(length) != length {
            return Err(damaged("the parts of the extended XMP do not fit together"));
        }
        placed.push((big_endian(&header[4..]) as usize, &part[40..]));
    }
    placed.sort_by_key(|(place, _)| *place);
    let mut text = Vec::new();
    for (place, part) in placed {
        if place != text.len() || text.len() + part.len() > whole.unwrap_or_default() {
            return Err(damaged("the parts of the extended XMP do not fit together"));
        }
        text.extend_from_slice(part);
    }
    if Some(text.len()) == whole { Ok(text) } else { Err(damaged("a part of the extended XMP is missing")) }
}

/// Replaces the packet, or puts it after the JFIF and EXIF segments where there is none.
pub(super) fn embed(image: &[u8], packet: Option<&[u8]>) -> Result<Vec<u8>, XmpError> {
    let segments = segments(image)?;
    let cannot = |reason| XmpError::CannotEmbed { format: ImageFormat::Jpeg, reason };
    if segments.iter().any(|segment| body(image, segment, APP2, b"MPF\0").is_some()) {
        return Err(cannot("it holds several pictures, which refer to each other by their places"));
    }
    let segment = match packet {
        Some(packet) => {
            let length = PACKET.len() + packet.len();
            let length = u16::try_from(length + 2).ok().filter(|_| length <= MAX_BODY);
            let length = length.ok_or(cannot("its XMP would not fit into one segment"))?;
            [&[0xFF, APP1], length.to_be_bytes().as_slice(), PACKET, packet].concat()
        }
        None => Vec::new(),
    };
    let old = segments.iter().find(|segment| body(image, segment, APP1, PACKET).is_some());
    let is_head = |segment: &&Segment| segment.marker == APP0 || body(image, segment, APP1, b"Exif\0").is_some();
    let behind_head = segments.iter().take_while(is_head).last().map_or(2, |segment| segment.span.end);
    let span = old.map_or(behind_head..behind_head, |old| old.span.clone());
    Ok(replaced(image, span, &segment))
}
