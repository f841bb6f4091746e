//! Images: pixels of the size that they name, or a rejection.

use bytes::Bytes;
use muster_actors::domain::face::BBox;
use muster_actors::domain::image::Pixels;
use muster_vision::decode::{Format, Limits, VisionDecoder, closer_region};

/// Small, so that an input that asks for much is answered quickly.
pub const LIMITS: Limits = Limits { bytes: 1 << 20, pixels: 1 << 22 };

fn whole(pixels: &Pixels) {
    assert!(pixels.width > 0 && pixels.height > 0, "an image without pixels");
    assert_eq!(pixels.data.len(), pixels.width as usize * pixels.height as usize * 3, "pixels of another size");
}

/// Decodes bytes that claim to be of a format, then a part of them again.
pub fn decode(format: Format, data: &[u8]) {
    if Format::detect(data) != Some(format) {
        return;
    }
    let decoder = VisionDecoder { limits: LIMITS, side: 64 };
    let Ok(frame) = decoder.decode(Bytes::copy_from_slice(data)) else { return };
    whole(&frame.pixels);
    assert!(u64::from(frame.width) * u64::from(frame.height) <= LIMITS.pixels, "above the limit");
    let last = |n: usize| data.iter().rev().nth(n).copied().map_or(0.0, f32::from);
    let around = BBox { x: last(0) - 8.0, y: last(1) - 8.0, width: last(2), height: last(3) };
    if let Ok(region) = closer_region(&frame, last(4) / 128.0, &around) {
        whole(&region.pixels);
    }
}
