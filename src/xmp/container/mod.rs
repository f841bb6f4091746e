//! Finds and writes XMP packets in image files.

mod heif;
mod jpeg;
mod png;
mod webp;

use std::fmt;

use crate::XmpError;
use crate::limits::check_bytes;

/// The formats of image files in which XMP is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImageFormat {
    /// JPEG.
    Jpeg,
    /// PNG.
    Png,
    /// WebP.
    WebP,
    /// HEIC, HEIF and AVIF.
    Heif,
}

impl fmt::Display for ImageFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Jpeg => "JPEG",
            Self::Png => "PNG",
            Self::WebP => "WebP",
            Self::Heif => "HEIC",
        })
    }
}

impl ImageFormat {
    /// Finds the kind of an image by its first bytes.
    fn of(image: &[u8]) -> Result<Self, XmpError> {
        if image.starts_with(&[0xFF, 0xD8]) {
            Ok(Self::Jpeg)
        } else if image.starts_with(png::SIGNATURE) {
            Ok(Self::Png)
        } else if image.starts_with(b"RIFF") && image.get(8..12) == Some(b"WEBP") {
            Ok(Self::WebP)
        } else if heif::is_heif(image) {
            Ok(Self::Heif)
        } else {
            Err(XmpError::UnknownFormat)
        }
    }
}

/// The XMP packets of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// The main packet.
    pub main: Vec<u8>,
    /// The second packet of a JPEG, with the properties that did not fit into one segment.
    pub extended: Option<Vec<u8>>,
}

/// Finds the XMP packet of a JPEG, PNG, WebP or HEIC image.
///
/// # Errors
/// [`XmpError::UnknownFormat`] when the bytes are no image of these formats,
/// [`XmpError::DamagedImage`] when its segments, chunks or boxes are damaged,
/// [`XmpError::TooLarge`] when the packet exceeds the limit.
pub fn find_packet(image: &[u8]) -> Result<Option<Packet>, XmpError> {
    let alone = |main: Vec<u8>| Packet { main, extended: None };
    let packet = match ImageFormat::of(image)? {
        ImageFormat::Jpeg => jpeg::find(image)?,
        ImageFormat::Png => png::find(image)?.map(alone),
        ImageFormat::WebP => webp::find(image)?.map(alone),
        ImageFormat::Heif => heif::find(image)?.map(alone),
    };
    if let Some(packet) = &packet {
        check_bytes(packet.main.len())?;
    }
    Ok(packet)
}

/// Returns the image with another XMP packet, or without one where `packet` is `None`. All other
/// bytes, pixels and metadata, stay as they are; in a WebP, only the flag for XMP and the file's
/// length change.
///
/// # Errors
/// As [`find_packet`]; also [`XmpError::CannotEmbed`] for HEIC, where a new packet would move the
/// pixels, for a JPEG with several pictures, which refer to each other by their places, and for a
/// packet that does not fit into a JPEG segment.
pub fn embed_packet(image: &[u8], packet: Option<&[u8]>) -> Result<Vec<u8>, XmpError> {
    check_bytes(packet.map_or(0, <[u8]>::len))?;
    match ImageFormat::of(image)? {
        ImageFormat::Jpeg => jpeg::embed(image, packet),
        ImageFormat::Png => png::embed(image, packet),
        ImageFormat::WebP => webp::embed(image, packet),
        format @ ImageFormat::Heif => {
            let reason = "the items of a HEIC refer to each other by their places in the file";
            Err(XmpError::CannotEmbed { format, reason })
        }
    }
}

/// Reads a number of at most eight bytes, the most significant first.
fn big_endian(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// Returns the bytes with a part of them replaced.
fn replaced(bytes: &[u8], span: std::ops::Range<usize>, by: &[u8]) -> Vec<u8> {
    [&bytes[..span.start], by, &bytes[span.end..]].concat()
}
