//! Judges a thumbnail for the prefilter: the one in a JPEG's header, or one in a file of its own.

use muster_actors::domain::image::Pixels;

use super::{exif, jpeg, segments};
use crate::luma::{Luma, moments};
use crate::quality::sharpness;

/// Most pixels of a thumbnail. One in a header has about 160 × 120, one in a file of its own a few hundred on a side.
pub(crate) const MAX_PIXELS: u64 = 1_000_000;

/// Judges the EXIF thumbnail in the first bytes of a JPEG: quality from 0 to 1, or `None` where there is none that can
/// be decoded.
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

/// Computes the quality of a thumbnail, 0 to 1; `None` for an image that is too small to judge.
///
/// It is sharpness times exposure times contrast. Each is a ramp that is 1 for an ordinary photo, so only an image that
/// is hopeless even at this size comes near 0.
///
/// The ramps are: sharpness ([`sharpness::measure`]) from 0.15 to 0.35; exposure, as mean luma, rising from 0.02 to
/// 0.12 and falling from 0.9 to 0.99; contrast, as the standard deviation of luma, from 0.01 to 0.05.
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
