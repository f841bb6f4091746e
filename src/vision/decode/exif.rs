//! EXIF: orientation, and where the embedded thumbnail is.

use exif::{Exif, In, Reader, Tag, Value};

/// EXIF blocks above this are not read: a JPEG's cannot reach 64 KiB.
const LIMIT: usize = 1 << 20;

fn read(tiff: &[u8]) -> Option<Exif> {
    if tiff.len() > LIMIT {
        return None;
    }
    let mut reader = Reader::new();
    // A block with one bad entry still has a usable orientation.
    reader.continue_on_error(true);
    match reader.read_raw(tiff.to_vec()) {
        Ok(exif) => Some(exif),
        Err(error) => error.distill_partial_result(|_| {}).ok(),
    }
}

fn number(exif: &Exif, tag: Tag, ifd: In) -> Option<u32> {
    match &exif.get_field(tag, ifd)?.value {
        Value::Short(values) => values.first().map(|&v| u32::from(v)),
        Value::Long(values) => values.first().copied(),
        _ => None,
    }
}

/// Orientation of the primary image, 1 to 8; 1 where the block is absent, broken or says nonsense.
pub fn orientation(tiff: Option<&[u8]>) -> u8 {
    tiff.and_then(read)
        .and_then(|exif| number(&exif, Tag::Orientation, In::PRIMARY))
        .and_then(|value| u8::try_from(value).ok())
        .filter(|value| (1..=8).contains(value))
        .unwrap_or(1)
}

/// The JPEG thumbnail of the second directory (IFD1), EXIF 2.32 section 4.5.5.
pub fn thumbnail(tiff: &[u8]) -> Option<Vec<u8>> {
    let exif = read(tiff)?;
    let start = number(&exif, Tag::JPEGInterchangeFormat, In::THUMBNAIL)? as usize;
    let length = number(&exif, Tag::JPEGInterchangeFormatLength, In::THUMBNAIL)? as usize;
    exif.buf().get(start..start.checked_add(length)?).map(<[u8]>::to_vec)
}
