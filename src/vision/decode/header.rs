//! Reads the header of an image and checks it against the limits before any pixel is allocated.

use std::io::Cursor;

use image::ImageDecoder;
use muster_actors::domain::capture::Taken;
use muster_actors::domain::image::{RejectReason, Rejection};

use super::{Limits, exif, heif, orient, raster, segments};

/// The image formats that muster decodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// JPEG, ITU-T T.81.
    Jpeg,
    /// PNG.
    Png,
    /// WebP, lossy or lossless; the first frame of an animation.
    WebP,
    /// HEIC or AVIF in an ISO base media file.
    Heif,
}

impl Format {
    /// Detects the format by the first bytes.
    pub fn detect(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [0xFF, 0xD8, 0xFF, ..] => Some(Self::Jpeg),
            [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1A, b'\n', ..] => Some(Self::Png),
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some(Self::WebP),
            _ => heif::is_heif(bytes).then_some(Self::Heif),
        }
    }

    /// Returns the usual name of the format.
    pub fn name(self) -> &'static str {
        match self {
            Self::Jpeg => "JPEG",
            Self::Png => "PNG",
            Self::WebP => "WebP",
            Self::Heif => "HEIC",
        }
    }
}

/// The header of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Format of the file.
    pub format: Format,
    /// Full upright width in pixels. For HEIC it is the stored width, because libheif turns the image while it decodes.
    pub width: u32,
    /// Full upright height in pixels; for HEIC the stored height.
    pub height: u32,
    /// EXIF orientation, 1 to 8. It is 1 for HEIC, to which libheif applies the orientation itself.
    pub orientation: u8,
    /// Time at which the photo was taken, where the EXIF block says so.
    pub taken: Option<Taken>,
}

impl Header {
    /// Returns the size of the stored pixels, before the orientation is applied.
    pub fn stored_size(&self) -> (u32, u32) {
        orient::upright_size(self.width, self.height, self.orientation)
    }
}

/// Reads the header of a whole image. Allocates no pixels.
///
/// # Errors
/// [`Rejection`] with the reason [`RejectReason::Empty`], [`RejectReason::TooManyBytes`],
/// [`RejectReason::UnknownFormat`] or [`RejectReason::TooManyPixels`]; with [`RejectReason::Truncated`] or
/// [`RejectReason::Corrupt`] when the header is incomplete or damaged.
pub fn probe(bytes: &[u8], limits: &Limits) -> Result<Header, Rejection> {
    if bytes.is_empty() {
        return Err(Rejection::new(RejectReason::Empty, "the file has no bytes"));
    }
    if bytes.len() as u64 > limits.bytes {
        let detail = format!("{} bytes, the limit is {}", bytes.len(), limits.bytes);
        return Err(Rejection::new(RejectReason::TooManyBytes, detail));
    }
    let Some(format) = Format::detect(bytes) else {
        let detail = "the first bytes are of no format muster reads (JPEG, PNG, WebP, HEIC)";
        return Err(Rejection::new(RejectReason::UnknownFormat, detail));
    };
    let (stored, orientation, taken) = match format {
        Format::Jpeg => {
            let head = segments::walk(bytes);
            (size_of_jpeg(&head)?, exif::orientation(head.exif), exif::taken(head.exif))
        }
        Format::Png => {
            let mut decoder = raster::png(Cursor::new(bytes), limits)?;
            let block = raster::exif(&mut decoder);
            (decoder.dimensions(), exif::orientation(block.as_deref()), exif::taken(block.as_deref()))
        }
        Format::WebP => {
            let mut decoder = raster::webp(Cursor::new(bytes), limits)?;
            let block = raster::exif(&mut decoder);
            (decoder.dimensions(), exif::orientation(block.as_deref()), exif::taken(block.as_deref()))
        }
        Format::Heif => (heif::stored_size(bytes)?, 1, exif::taken(heif::exif(bytes))),
    };
    limits.check_pixels(stored.0, stored.1)?;
    let (width, height) = orient::upright_size(stored.0, stored.1, orientation);
    Ok(Header { format, width, height, orientation, taken })
}

fn size_of_jpeg(head: &segments::Head<'_>) -> Result<(u32, u32), Rejection> {
    match head.size {
        Some((0, _) | (_, 0)) => Err(Rejection::new(RejectReason::Corrupt, "the JPEG header says zero pixels")),
        Some(size) => Ok(size),
        None if head.broken => Err(Rejection::new(RejectReason::Corrupt, "the JPEG has no frame header")),
        None => Err(Rejection::new(RejectReason::Truncated, "the file ends within the JPEG header")),
    }
}
