//! Fits pixels to a detector's input: no larger than its side, with sides that are multiples of its coarsest stride.

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use muster_actors::domain::image::Pixels;

/// The coarsest stride of YuNet and SCRFD in pixels.
const STRIDE: u32 = 32;

/// The input of a detector.
#[derive(Clone, Debug, PartialEq)]
pub struct Letterbox {
    /// Scaled pixels at the top left, black to the right and below; both sides are multiples of 32.
    pub pixels: Pixels,
    /// Scale of the pixels, at most 1: detector coordinates divided by it are coordinates of the pixels that were given
    /// to [`fit`].
    pub scale: f32,
}

/// Scales pixels down, never up, so that the longer side is at most `side` pixels, then pads them with black.
///
/// The filter is a triangle as wide as the reduction, so it uses every source pixel. (OpenCV's `INTER_LINEAR` uses
/// four, and loses thin detail in reductions to a third or less.)
pub fn fit(pixels: &Pixels, side: u32) -> Letterbox {
    let longer = pixels.width.max(pixels.height).max(1);
    let side = side.max(1);
    let scale = if longer > side { side as f32 / longer as f32 } else { 1.0 };
    let small = if scale < 1.0 {
        let to = |v: u32| ((f64::from(v) * f64::from(side) / f64::from(longer)).round() as u32).max(1);
        resize(pixels, to(pixels.width), to(pixels.height))
    } else {
        None
    };
    Letterbox { pixels: pad(small.as_ref().unwrap_or(pixels)), scale }
}

/// Resizes with a triangle filter that is as wide as the reduction; `None` for pixels whose data does not fit their
/// size.
pub(super) fn resize(pixels: &Pixels, width: u32, height: u32) -> Option<Pixels> {
    let source = ImageRef::new(pixels.width, pixels.height, &pixels.data, PixelType::U8x3).ok()?;
    let mut target = Image::new(width, height, PixelType::U8x3);
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Bilinear));
    Resizer::new().resize(&source, &mut target, &options).ok()?;
    Some(Pixels { width, height, data: target.into_vec() })
}

fn pad(pixels: &Pixels) -> Pixels {
    let width = pixels.width.max(1).next_multiple_of(STRIDE);
    let height = pixels.height.max(1).next_multiple_of(STRIDE);
    let (from, to) = (pixels.width as usize * 3, width as usize * 3);
    let mut data = vec![0; to * height as usize];
    if from > 0 {
        for (row, out) in pixels.data.chunks_exact(from).zip(data.chunks_exact_mut(to)) {
            out[..from].copy_from_slice(row);
        }
    }
    Pixels { width, height, data }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grey(width: u32, height: u32) -> Pixels {
        Pixels { width, height, data: vec![200; (width * height * 3) as usize] }
    }

    #[test]
    fn the_longer_side_fits_and_both_sides_are_multiples_of_32() {
        for (width, height, side, inner) in [
            (1000, 750, 640, (640, 480)),
            (750, 1000, 640, (480, 640)),
            (100, 50, 640, (100, 50)),
            (640, 640, 640, (640, 640)),
            (5000, 3, 640, (640, 1)),
            (1, 1, 640, (1, 1)),
        ] {
            let fitted = fit(&grey(width, height), side);
            let Pixels { width: w, height: h, data } = &fitted.pixels;
            assert_eq!((w % 32, h % 32), (0, 0));
            assert_eq!((*w, *h), (u32::next_multiple_of(inner.0, 32), u32::next_multiple_of(inner.1, 32)));
            assert!(fitted.scale <= 1.0);
            assert!((width as f32 * fitted.scale - inner.0 as f32).abs() < 1.0);
            let lit = data.chunks(3).filter(|p| p[0] > 0).count();
            assert_eq!(lit, (inner.0 * inner.1) as usize, "only the image is lit");
        }
    }

    #[test]
    fn pixels_without_area_do_not_panic() {
        let fitted = fit(&Pixels { width: 0, height: 0, data: Vec::new() }, 640);
        assert_eq!((fitted.pixels.width, fitted.pixels.height), (32, 32));
    }
}
