//! Decodes PNG and WebP with the `image` crate to RGB8.

use std::io::{BufRead, Cursor, Seek};

use image::codecs::{png::PngDecoder, webp::WebPDecoder};
use image::error::{ImageError, LimitErrorKind};
use image::{DynamicImage, ImageDecoder};
use muster_actors::domain::image::{Pixels, RejectReason, Rejection};

use super::Limits;

/// Most bytes that a PNG or WebP may use while it is decoded, its pixels included.
const WORKING_BYTES: u64 = 640 << 20;

/// The prefix that a JPEG has before its TIFF structure.
const EXIF_PREFIX: &[u8] = b"Exif\0\0";

fn limits_of(limits: &Limits) -> image::Limits {
    let mut of = image::Limits::no_limits();
    of.max_alloc = Some(WORKING_BYTES);
    // The decoders check each side separately; `Limits::check_pixels` checks the product.
    let longest = u32::try_from(limits.pixels).unwrap_or(u32::MAX);
    (of.max_image_width, of.max_image_height) = (Some(longest), Some(longest));
    of
}

/// Creates a PNG decoder, which has read the header.
///
/// # Errors
/// A [`Rejection`] when the header is broken or exceeds the limits.
pub fn png<R: BufRead + Seek>(reader: R, limits: &Limits) -> Result<PngDecoder<R>, Rejection> {
    PngDecoder::with_limits(reader, limits_of(limits)).map_err(|error| rejection(&error))
}

/// Creates a WebP decoder, which has read the header.
///
/// # Errors
/// A [`Rejection`] when the header is broken or exceeds the limits.
pub fn webp<R: BufRead + Seek>(reader: R, limits: &Limits) -> Result<WebPDecoder<R>, Rejection> {
    let mut decoder = WebPDecoder::new(reader).map_err(|error| rejection(&error))?;
    decoder.set_limits(limits_of(limits)).map_err(|error| rejection(&error))?;
    Ok(decoder)
}

/// Returns the TIFF structure in the EXIF block of a PNG (`eXIf`) or WebP (`EXIF`), where there is one.
pub fn exif(decoder: &mut impl ImageDecoder) -> Option<Vec<u8>> {
    let mut block = decoder.exif_metadata().ok().flatten()?;
    // Some programs write JPEG's prefix before the TIFF structure.
    if block.starts_with(EXIF_PREFIX) {
        block.drain(..EXIF_PREFIX.len());
    }
    Some(block)
}

/// Decodes a whole PNG as it is stored. The caller has checked its dimensions.
pub(crate) fn decode_png(bytes: &[u8], limits: &Limits) -> Result<Pixels, Rejection> {
    decode(png(Cursor::new(bytes), limits)?)
}

/// Decodes a whole WebP as it is stored. The caller has checked its dimensions.
pub(crate) fn decode_webp(bytes: &[u8], limits: &Limits) -> Result<Pixels, Rejection> {
    decode(webp(Cursor::new(bytes), limits)?)
}

fn decode(decoder: impl ImageDecoder) -> Result<Pixels, Rejection> {
    if decoder.total_bytes() > WORKING_BYTES {
        let detail = format!("decoding takes {} bytes, the limit is {WORKING_BYTES}", decoder.total_bytes());
        return Err(Rejection::new(RejectReason::TooManyPixels, detail));
    }
    DynamicImage::from_decoder(decoder).map(flatten).map_err(|error| rejection(&error))
}

/// Converts to RGB8: 16-bit samples keep their high byte (as in OpenCV), and transparent pixels are blended with white.
fn flatten(image: DynamicImage) -> Pixels {
    let (width, height) = (image.width(), image.height());
    let data = match image {
        DynamicImage::ImageRgb8(image) => image.into_raw(),
        DynamicImage::ImageLuma8(image) => spread(&image, |&[l]: &[u8; 1]| [l; 3]),
        DynamicImage::ImageLumaA8(image) => spread(&image, |&[l, a]: &[u8; 2]| [over_white(l, a); 3]),
        DynamicImage::ImageRgba8(image) => {
            spread(&image, |&[r, g, b, a]: &[u8; 4]| [r, g, b].map(|v| over_white(v, a)))
        }
        DynamicImage::ImageLuma16(image) => spread(&image, |&[l]: &[u16; 1]| [high(l); 3]),
        DynamicImage::ImageLumaA16(image) => spread(&image, |&[l, a]: &[u16; 2]| [over_white(high(l), high(a)); 3]),
        DynamicImage::ImageRgb16(image) => spread(&image, |p: &[u16; 3]| p.map(high)),
        DynamicImage::ImageRgba16(image) => {
            spread(&image, |&[r, g, b, a]: &[u16; 4]| [r, g, b].map(|v| over_white(high(v), high(a))))
        }
        other => other.into_rgb8().into_raw(),
    };
    Pixels { width, height, data }
}

fn spread<T, const N: usize>(samples: &[T], to_rgb: impl Fn(&[T; N]) -> [u8; 3]) -> Vec<u8> {
    let (samples, _) = samples.as_chunks::<N>();
    let mut data = vec![0; samples.len() * 3];
    for (out, sample) in data.as_chunks_mut::<3>().0.iter_mut().zip(samples) {
        *out = to_rgb(sample);
    }
    data
}

fn high(sample: u16) -> u8 {
    (sample >> 8) as u8
}

fn over_white(value: u8, alpha: u8) -> u8 {
    let (value, alpha) = (u32::from(value), u32::from(alpha));
    ((value * alpha + 255 * (255 - alpha) + 127) / 255) as u8
}

/// Converts an error of the `image` crate to a rejection. Its decoders report an early end of the data as an I/O error
/// or as text.
fn rejection(error: &ImageError) -> Rejection {
    let detail: String = error.to_string().chars().take(200).collect();
    let reason = match error {
        ImageError::Limits(limit) => match limit.kind() {
            LimitErrorKind::DimensionError | LimitErrorKind::InsufficientMemory => RejectReason::TooManyPixels,
            _ => RejectReason::Corrupt,
        },
        ImageError::IoError(io) if io.kind() == std::io::ErrorKind::UnexpectedEof => RejectReason::Truncated,
        _ if ["unexpected end", "failed to fill", "UnexpectedEof"].iter().any(|text| detail.contains(text)) => {
            RejectReason::Truncated
        }
        _ => RejectReason::Corrupt,
    };
    Rejection::new(reason, detail)
}
