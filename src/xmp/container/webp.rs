//! Finds and writes XMP in the `XMP ` chunk of a WebP (RFC 9649, section 2.7).

use std::ops::Range;

use super::{ImageFormat, replaced};
use crate::XmpError;

/// The flag in `VP8X` for XMP.
const HAS_XMP: u8 = 0x04;
/// The flag in `VP8X` for transparency.
const HAS_ALPHA: u8 = 0x10;

struct Chunk {
    kind: [u8; 4],
    /// Bytes of the chunk, from its type to its end, with the byte that makes its length even.
    span: Range<usize>,
    body: Range<usize>,
}

fn damaged(reason: &'static str) -> XmpError {
    XmpError::DamagedImage { format: ImageFormat::WebP, reason }
}

fn little_endian(bytes: &[u8]) -> u32 {
    bytes.iter().rev().fold(0, |number, byte| number << 8 | u32::from(*byte))
}

/// Lists the chunks within the length in the file's header, and returns where they end.
fn chunks(image: &[u8]) -> Result<(Vec<Chunk>, usize), XmpError> {
    let length = image.get(4..8).map_or(0, little_endian) as usize;
    let end = 8 + length;
    if length < 4 || end > image.len() {
        return Err(damaged("it is cut off"));
    }
    let mut chunks = Vec::new();
    let mut at = 12;
    while at < end {
        let head = image[..end].get(at..at + 8).ok_or(damaged("a chunk is cut off"))?;
        let body = at + 8..at + 8 + little_endian(&head[4..]) as usize;
        let padded = body.end + body.len() % 2;
        // Some programs leave the last padding byte out.
        let next = if padded == end + 1 { end } else { padded };
        if body.end > end || next > end {
            return Err(damaged("a chunk is cut off"));
        }
        chunks.push(Chunk { kind: [head[0], head[1], head[2], head[3]], span: at..next, body });
        at = next;
    }
    Ok((chunks, end))
}

/// Finds the packet.
pub(super) fn find(image: &[u8]) -> Result<Option<Vec<u8>>, XmpError> {
    let (chunks, _) = chunks(image)?;
    let found = chunks.iter().find(|chunk| chunk.kind == *b"XMP ");
    Ok(found.map(|chunk| image[chunk.body.clone()].to_vec()))
}

/// Replaces the packet, or puts it after all chunks where there is none. An image without the
/// extended header gets one.
pub(super) fn embed(image: &[u8], packet: Option<&[u8]>) -> Result<Vec<u8>, XmpError> {
    let (chunks, end) = chunks(image)?;
    let old = chunks.iter().find(|chunk| chunk.kind == *b"XMP ");
    let first = chunks.first().ok_or(damaged("it has no chunk"))?;
    let span = old.map_or(end..end, |old| old.span.clone());
    let chunk = packet.map(|packet| chunk(*b"XMP ", packet)).unwrap_or_default();
    let mut written = replaced(image, span.clone(), &chunk);
    let mut length = end - 8 + chunk.len() - span.len();
    // The header lies before all other chunks, so the replacement after it has not moved it.
    if first.kind == *b"VP8X" {
        let flags = written.get_mut(first.body.start).filter(|_| !first.body.is_empty());
        let flags = flags.ok_or(damaged("its header is cut off"))?;
        *flags = if packet.is_some() { *flags | HAS_XMP } else { *flags & !HAS_XMP };
    } else if packet.is_some() {
        let header = header(first.kind, &image[first.body.clone()])?;
        length += header.len();
        written = replaced(&written, 12..12, &header);
    }
    let length = u32::try_from(length).map_err(|_| damaged("it would be longer than a WebP can be"))?;
    written[4..8].copy_from_slice(&length.to_le_bytes());
    Ok(written)
}

fn chunk(kind: [u8; 4], body: &[u8]) -> Vec<u8> {
    let padding: &[u8] = if body.len() % 2 == 1 { &[0] } else { &[] };
    [&kind, (body.len() as u32).to_le_bytes().as_slice(), body, padding].concat()
}

/// Makes the extended header of an image that has none, from the header of its pixels (RFC 9649
/// sections 2.5 to 2.7).
fn header(kind: [u8; 4], pixels: &[u8]) -> Result<Vec<u8>, XmpError> {
    let cut = || damaged("its pixels are cut off");
    let (width, height, alpha) = match &kind {
        // RFC 6386 section 9.1: a frame tag and a start code of three bytes each, then two sides of
        // 14 bits.
        b"VP8 " => {
            let sides = pixels.get(6..10).filter(|_| pixels[3..6] == [0x9D, 0x01, 0x2A]).ok_or_else(cut)?;
            (little_endian(&sides[..2]) & 0x3FFF, little_endian(&sides[2..]) & 0x3FFF, false)
        }
        // Section 3.4: a signature, then the sides less one in 14 bits each, and whether there is
        // transparency.
        b"VP8L" => {
            let bits = pixels.get(1..5).filter(|_| pixels[0] == 0x2F).map(little_endian).ok_or_else(cut)?;
            ((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1, bits >> 28 & 1 == 1)
        }
        _ => return Err(damaged("it begins with an unknown chunk")),
    };
    let (Some(width), Some(height)) = (width.checked_sub(1), height.checked_sub(1)) else { return Err(cut()) };
    let flags = HAS_XMP | if alpha { HAS_ALPHA } else { 0 };
    let sides = [&width.to_le_bytes()[..3], &height.to_le_bytes()[..3]].concat();
    Ok(chunk(*b"VP8X", &[&[flags, 0, 0, 0], sides.as_slice()].concat()))
}
