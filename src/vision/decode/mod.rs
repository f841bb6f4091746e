//! Decodes bytes to upright RGB pixels, at the smallest scale that is large enough.

mod exif;
mod header;
pub mod heif;
mod jpeg;
mod judge;
mod orient;
mod raster;
mod segments;
#[cfg(test)]
mod tests;

use bytes::Bytes;
use muster_actors::domain::face::BBox;
use muster_actors::domain::image::{Frame, Pixels, RejectReason, Rejection};
use muster_actors::ports::decoder::{DecodeError, Decoder};

pub use header::{Format, Header, probe};
use orient::Rect;

use crate::picture_hash;

/// Limits on an image, which are checked before pixels are allocated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most encoded bytes.
    pub bytes: u64,
    /// Most pixels: width times height.
    pub pixels: u64,
}

impl Default for Limits {
    /// Returns 256 MiB and 200 megapixels, which is more than any camera or phone writes.
    fn default() -> Self {
        Self { bytes: 256 << 20, pixels: 200_000_000 }
    }
}

impl Limits {
    fn check_pixels(&self, width: u32, height: u32) -> Result<(), Rejection> {
        if u64::from(width) * u64::from(height) > self.pixels {
            let detail = format!("{width} x {height} pixels, the limit is {} in all", self.pixels);
            return Err(Rejection::new(RejectReason::TooManyPixels, detail));
        }
        Ok(())
    }
}

/// Decodes images for a detector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VisionDecoder {
    /// Limits on an image.
    pub limits: Limits,
    /// Longer side of the detector's input in pixels.
    pub side: u32,
}

impl VisionDecoder {
    /// Decodes an image as [`Decoder::decode`] does.
    ///
    /// # Errors
    /// A [`Rejection`] when the image is empty, too large, broken, of an unknown format, or of a format whose decoder
    /// is not installed.
    pub fn decode(&self, source: Bytes) -> Result<Frame, Rejection> {
        let header = probe(&source, &self.limits)?;
        let longer = header.width.max(header.height);
        let covers = |denominator: u32| jpeg::scaled(longer, denominator) >= self.side;
        let (pixels, scale) = pixels_of(&source, &header, covers, &self.limits)?;
        let (width, height) = match header.format {
            // The upright size is known only after libheif has turned the image.
            Format::Heif => (pixels.width, pixels.height),
            _ => (header.width, header.height),
        };
        let Header { orientation, taken, .. } = header;
        let picture = picture_hash::of(&pixels);
        Ok(Frame { pixels, scale, width, height, orientation, taken, picture, source })
    }
}

impl Decoder for VisionDecoder {
    fn decode(&self, source: Bytes) -> Result<Frame, DecodeError> {
        Ok(self.decode(source)?)
    }

    fn judge_header(&self, head: &[u8]) -> Option<f32> {
        judge::header_quality(head)
    }

    fn judge_thumbnail(&self, thumbnail: &[u8]) -> Option<f32> {
        let limits = Limits { pixels: judge::MAX_PIXELS, ..self.limits };
        let header = probe(thumbnail, &limits).ok()?;
        let (pixels, _) = pixels_of(thumbnail, &header, |_| false, &limits).ok()?;
        judge::quality(&pixels)
    }
}

/// Decodes upright pixels at the smallest DCT scale that is `enough`, and returns them with that scale. Formats without
/// DCT scales are decoded at full size.
fn pixels_of(
    source: &[u8],
    header: &Header,
    enough: impl Fn(u32) -> bool,
    limits: &Limits,
) -> Result<(Pixels, f32), Rejection> {
    let (stored, denominator) = match header.format {
        Format::Jpeg => {
            let denominator = jpeg::DENOMINATORS.into_iter().find(|&d| enough(d)).unwrap_or(1);
            (jpeg::decode(source, denominator)?, denominator)
        }
        Format::Png => (raster::decode_png(source, limits)?, 1),
        Format::WebP => (raster::decode_webp(source, limits)?, 1),
        Format::Heif => (heif::decode(source, limits)?, 1),
    };
    Ok((orient::upright(stored, header.orientation), 1.0 / denominator as f32))
}

/// A decoded part of a full image at some scale.
#[derive(Clone, Debug, PartialEq)]
pub struct Region {
    /// Pixels of the upright image, after its EXIF orientation was applied.
    pub pixels: Pixels,
    /// Left edge in pixels of the scaled image.
    pub x: u32,
    /// Top edge in pixels of the scaled image.
    pub y: u32,
    /// Pixels of this region per pixel of the full image, at most 1.
    pub scale: f32,
}

impl Region {
    /// Converts a point of the full upright image to pixels of this region. Whole coordinates are pixel centres.
    pub fn local(&self, [x, y]: [f32; 2]) -> [f32; 2] {
        let to = |v: f32, origin: u32| (v + 0.5) * self.scale - 0.5 - origin as f32;
        [to(x, self.x), to(y, self.y)]
    }
}

/// Decodes the part of a frame's source that contains `around` (in pixels of the full upright image, cut at its edges),
/// at the smallest scale that is at least `scale`. For a JPEG only that part is transformed and kept, which costs at
/// most half of a whole decode; other formats are decoded whole and then cut.
///
/// # Errors
/// As [`Decoder::decode`]; a source from which the frame was decoded can be decoded again.
pub fn closer_region(frame: &Frame, scale: f32, around: &BBox) -> Result<Region, Rejection> {
    let limits = Limits { bytes: u64::MAX, pixels: u64::MAX };
    let header = probe(&frame.source, &limits)?;
    if header.format != Format::Jpeg {
        let (whole, _) = pixels_of(&frame.source, &header, |_| false, &limits)?;
        let rect = clip(around, 1.0, whole.width, whole.height);
        return Ok(Region { pixels: crop(&whole, rect), x: rect.x, y: rect.y, scale: 1.0 });
    }
    let denominator = jpeg::DENOMINATORS.into_iter().find(|&d| covers(d, scale)).unwrap_or(1);
    let (stored_width, stored_height) = header.stored_size();
    let (stored_width, stored_height) =
        (jpeg::scaled(stored_width, denominator), jpeg::scaled(stored_height, denominator));
    let (width, height) = orient::upright_size(stored_width, stored_height, header.orientation);
    let scale = 1.0 / denominator as f32;
    let wanted = clip(around, scale, width, height);
    let stored = orient::stored_rect(wanted, stored_width, stored_height, header.orientation);
    let (pixels, part) = jpeg::decode_region(&frame.source, denominator, stored)?;
    // The decoded part is a rectangle of the stored image; it is turned upright by the inverse orientation.
    let inverse = match header.orientation {
        6 => 8,
        8 => 6,
        other => other,
    };
    let upright = orient::stored_rect(part, width, height, inverse);
    Ok(Region { pixels: orient::upright(pixels, header.orientation), x: upright.x, y: upright.y, scale })
}

fn covers(denominator: u32, scale: f32) -> bool {
    1.0 / denominator as f32 >= scale.min(1.0)
}

/// Returns the whole pixels of a `width` × `height` image that a box touches after scaling; at least one pixel.
fn clip(bbox: &BBox, scale: f32, width: u32, height: u32) -> Rect {
    let edge = |v: f32, limit: u32| (v * scale).clamp(0.0, limit as f32);
    let x = (edge(bbox.x, width).floor() as u32).min(width.saturating_sub(1));
    let y = (edge(bbox.y, height).floor() as u32).min(height.saturating_sub(1));
    let right = edge(bbox.x + bbox.width, width).ceil() as u32;
    let bottom = edge(bbox.y + bbox.height, height).ceil() as u32;
    Rect { x, y, width: right.max(x + 1) - x, height: bottom.max(y + 1) - y }
}

fn crop(pixels: &Pixels, rect: Rect) -> Pixels {
    let mut data = Vec::with_capacity(rect.width as usize * rect.height as usize * 3);
    for y in rect.y..rect.y + rect.height {
        let start = (y as usize * pixels.width as usize + rect.x as usize) * 3;
        data.extend_from_slice(&pixels.data[start..start + rect.width as usize * 3]);
    }
    Pixels { width: rect.width, height: rect.height, data }
}
