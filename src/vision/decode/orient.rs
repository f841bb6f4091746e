//! Applies the eight EXIF orientations to pixels and rectangles.

use muster_actors::domain::image::Pixels;

/// The way through the stored pixels in the order of the upright image: pixel (x, y) of the upright image is stored at
/// index `base + x * right + y * down`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Walk {
    base: isize,
    right: isize,
    down: isize,
}

/// Returns whether an orientation swaps width and height.
pub(crate) fn swaps(orientation: u8) -> bool {
    matches!(orientation, 5..=8)
}

/// Returns the upright size of a stored image.
pub(crate) fn upright_size(width: u32, height: u32, orientation: u8) -> (u32, u32) {
    if swaps(orientation) { (height, width) } else { (width, height) }
}

/// Computes the way through stored pixels of `width` × `height`; EXIF 2.32 section 4.6.4, tag 0x0112.
fn walk(width: usize, height: usize, orientation: u8) -> Walk {
    let (w, h) = (width as isize, height as isize);
    let (base, right, down) = match orientation {
        2 => (w - 1, -1, w),
        3 => (w * h - 1, -1, -w),
        4 => ((h - 1) * w, 1, -w),
        5 => (0, w, 1),
        6 => ((h - 1) * w, -w, 1),
        7 => (w * h - 1, -w, -1),
        8 => (w - 1, w, -1),
        _ => (0, 1, w),
    };
    Walk { base, right, down }
}

/// Turns stored pixels upright. Orientation 1, and any value that EXIF does not define, changes nothing.
pub fn upright(pixels: Pixels, orientation: u8) -> Pixels {
    if !matches!(orientation, 2..=8) || pixels.width == 0 || pixels.height == 0 {
        return pixels;
    }
    let walk = walk(pixels.width as usize, pixels.height as usize, orientation);
    let (width, height) = upright_size(pixels.width, pixels.height, orientation);
    let (columns, rows) = (width as usize, height as usize);
    let (stored, _) = pixels.data.as_chunks::<3>();
    let mut data = vec![0; stored.len() * 3];
    let (out, _) = data.as_chunks_mut::<3>();
    // Tiles keep the column-wise reads of a quarter turn within the cache.
    const TILE: usize = 32;
    for top in (0..rows).step_by(TILE) {
        for left in (0..columns).step_by(TILE) {
            for y in top..rows.min(top + TILE) {
                let start = walk.base + y as isize * walk.down;
                let span = left..columns.min(left + TILE);
                for (x, pixel) in span.clone().zip(&mut out[y * columns + span.start..y * columns + span.end]) {
                    *pixel = stored[(start + x as isize * walk.right) as usize];
                }
            }
        }
    }
    Pixels { width, height, data }
}

/// A rectangle of whole pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rect {
    /// Column of the left edge, in pixels.
    pub x: u32,
    /// Row of the top edge, in pixels.
    pub y: u32,
    /// Columns, at least 1.
    pub width: u32,
    /// Rows, at least 1.
    pub height: u32,
}

/// Converts a rectangle of the upright image to one of the stored image of `width` × `height`.
pub(crate) fn stored_rect(rect: Rect, width: u32, height: u32, orientation: u8) -> Rect {
    let walk = walk(width as usize, height as usize, orientation);
    let at = |x: u32, y: u32| {
        let index = walk.base + x as isize * walk.right + y as isize * walk.down;
        ((index % width as isize) as u32, (index / width as isize) as u32)
    };
    let a = at(rect.x, rect.y);
    let b = at(rect.x + rect.width - 1, rect.y + rect.height - 1);
    Rect { x: a.0.min(b.0), y: a.1.min(b.1), width: a.0.abs_diff(b.0) + 1, height: a.1.abs_diff(b.1) + 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 3 × 2 pixels a b c / d e f, each colour its letter.
    fn stored() -> Pixels {
        Pixels { width: 3, height: 2, data: b"abcdef".iter().flat_map(|&c| [c; 3]).collect() }
    }

    #[test]
    fn every_orientation_turns_upright() {
        let table = [
            (0, 3, "abcdef"),
            (1, 3, "abcdef"),
            (2, 3, "cbafed"),
            (3, 3, "fedcba"),
            (4, 3, "defabc"),
            (5, 2, "adbecf"),
            (6, 2, "daebfc"),
            (7, 2, "fcebda"),
            (8, 2, "cfbead"),
            (9, 3, "abcdef"),
        ];
        for (orientation, width, letters) in table {
            let pixels = upright(stored(), orientation);
            let got: String = pixels.data.chunks(3).map(|p| p[0] as char).collect();
            assert_eq!((pixels.width, got.as_str()), (width, letters), "orientation {orientation}");
        }
    }

    #[test]
    fn a_rectangle_of_the_upright_image_is_found_in_the_stored_one() {
        let (width, height) = (70, 50);
        let data: Vec<u8> = (0..width * height).flat_map(|i: u32| [i as u8, (i >> 8) as u8, 0]).collect();
        let pixels = Pixels { width, height, data };
        for orientation in 1..=8 {
            let turned = upright(pixels.clone(), orientation);
            let rect = Rect { x: 7, y: 11, width: 30, height: 20 };
            let inner = stored_rect(rect, width, height, orientation);
            let part = upright(crop(&pixels, inner), orientation);
            assert_eq!(part, crop(&turned, rect), "orientation {orientation}");
        }
    }

    fn crop(pixels: &Pixels, rect: Rect) -> Pixels {
        super::super::crop(pixels, rect)
    }
}
