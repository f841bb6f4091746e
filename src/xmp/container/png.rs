//! Finds and writes XMP in an `iTXt` chunk of a PNG (XMP specification part 3, section 1.1.5; PNG
//! section 11.3.3.4).

use std::io::Read;
use std::ops::Range;

use super::{ImageFormat, big_endian, replaced};
use crate::XmpError;
use crate::limits::{MAX_PACKET_BYTES, check_bytes};

pub(super) const SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";
/// Keyword of the chunk, with the zero after it.
const KEYWORD: &[u8] = b"XML:com.adobe.xmp\0";

struct Chunk {
    kind: [u8; 4],
    /// Bytes of the chunk, from its length to its checksum.
    span: Range<usize>,
    body: Range<usize>,
}

fn damaged(reason: &'static str) -> XmpError {
    XmpError::DamagedImage { format: ImageFormat::Png, reason }
}

/// Lists the chunks up to `IEND`; what follows it does not belong to the image.
fn chunks(image: &[u8]) -> Result<Vec<Chunk>, XmpError> {
    let mut chunks = Vec::new();
    let mut at = SIGNATURE.len();
    loop {
        let head = image.get(at..at + 8).ok_or(damaged("it ends before its last chunk"))?;
        let length = big_endian(&head[..4]) as usize;
        let kind = [head[4], head[5], head[6], head[7]];
        let end = at + 8 + length + 4;
        if end > image.len() {
            return Err(damaged("a chunk is cut off"));
        }
        chunks.push(Chunk { kind, span: at..end, body: at + 8..at + 8 + length });
        at = end;
        if kind == *b"IEND" {
            return Ok(chunks);
        }
    }
}

fn is_packet(image: &[u8], chunk: &Chunk) -> bool {
    chunk.kind == *b"iTXt" && image[chunk.body.clone()].starts_with(KEYWORD)
}

/// Finds the packet, and decompresses it if necessary.
pub(super) fn find(image: &[u8]) -> Result<Option<Vec<u8>>, XmpError> {
    let chunks = chunks(image)?;
    let Some(chunk) = chunks.iter().find(|chunk| is_packet(image, chunk)) else { return Ok(None) };
    let cut = || damaged("the chunk with XMP is cut off");
    let body = &image[chunk.body.clone()][KEYWORD.len()..];
    let (flags, rest) = body.split_at_checked(2).ok_or_else(cut)?;
    // A language and a translated keyword, usually both empty, each with a zero after it.
    let text = rest.splitn(3, |byte| *byte == 0).nth(2).ok_or_else(cut)?;
    match flags {
        [0, _] => check_bytes(text.len()).map(|()| Some(text.to_vec())),
        [1, 0] => inflate(text).map(Some),
        _ => Err(damaged("its XMP is compressed in an unknown way")),
    }
}

fn inflate(compressed: &[u8]) -> Result<Vec<u8>, XmpError> {
    let mut text = Vec::new();
    let limited = flate2::read::ZlibDecoder::new(compressed).take(MAX_PACKET_BYTES as u64 + 1);
    { limited }.read_to_end(&mut text).map_err(|_| damaged("its XMP cannot be inflated"))?;
    check_bytes(text.len()).map(|()| text)
}

/// Replaces the packet, or puts it after the header where there is none.
pub(super) fn embed(image: &[u8], packet: Option<&[u8]>) -> Result<Vec<u8>, XmpError> {
    let chunks = chunks(image)?;
    let chunk = packet.map(chunk).unwrap_or_default();
    let header = chunks.first().filter(|chunk| chunk.kind == *b"IHDR").ok_or(damaged("its header is missing"))?;
    let old = chunks.iter().find(|chunk| is_packet(image, chunk));
    let span = old.map_or(header.span.end..header.span.end, |old| old.span.clone());
    Ok(replaced(image, span, &chunk))
}

/// Makes an uncompressed chunk without a language.
fn chunk(packet: &[u8]) -> Vec<u8> {
    let typed = [b"iTXt", KEYWORD, &[0, 0, 0, 0], packet].concat();
    // The length does not include the type. A packet's length fits into 32 bits by far.
    let length = (typed.len() - 4) as u32;
    [&length.to_be_bytes(), typed.as_slice(), &crc32fast::hash(&typed).to_be_bytes()].concat()
}
