//! The prefilter's judgement of a thumbnail: one in a JPEG's header, or one of its own.

use muster_actors::domain::image::Pixels;

use super::{exif, jpeg, segments};
use crate::luma::{Luma, moments};
use crate::quality::sharpness;

/// A thumbnail in a header is about 160 × 120, one of its own a few hundred pixels; more than this is none.
pub(crate) const MAX_PIXELS: u64 = 1_000_000;

/// Quality, 0 to 1, of the EXIF thumbnail in the first bytes of a JPEG; `None` where there is none that decodes.
pub(crate) fn header_quality(head: &[u8]) -> Option<f32> {
    if !head.starts_with(&[0xFF, 0xD8, 0xFF]) {
        return None;
    }
    let thumbnail = exif::thumbnail(segments::walk(head).exif?)?;
    let (width, height) = segments::walk(&thumbnail).size?;
    if u64::from(width) * u64::from(height) > MAX_PIXELS {
        return None;
    }
    quality(&jpeg::decode(&thumbnail, 1).ok()?)
}

/// Quality, 0 to 1; `None` for an image too small to say.
///
/// Sharpness times exposure times contrast, each a ramp that is 1 for an ordinary photo: only an image that is
/// hopeless even at thumbnail size comes near 0.
///
/// Sharpness: [`sharpness::measure`], 0.15 to 0.35. Exposure: mean luma within 0.02..0.12 and 0.9..0.99. Contrast: standard
/// deviation of luma 0.01 to 0.05.
pub fn quality(pixels: &Pixels) -> Option<f32> {
    if pixels.width < 16 || pixels.height < 16 {
        return None;
    }
    let luma = Luma::from_pixels(pixels);
    let (level, contrast) = moments(luma.data.iter().copied());
    let ramp = |value: f32, none: f32, full: f32| ((value - none) / (full - none)).clamp(0.0, 1.0);
    let exposure = ramp(level, 0.02, 0.12).min(ramp(level, 0.99, 0.9));
    Some(ramp(sharpness::measure(&luma), 0.15, 0.35) * exposure * ramp(contrast, 0.01, 0.05))
}
