//! Makes the small picture of a face that people see.

use muster_actors::domain::face::BBox;
use muster_actors::domain::image::Pixels;

use super::letterbox;

/// Side of the picture in pixels.
pub(crate) const SIDE: u32 = 160;
/// Margin on each side of the box, as a share of its longer side.
const MARGIN: f32 = 0.35;
const QUALITY: i32 = 85;
/// Longest side, in pixels, of the cut-out before it is resized; from a larger one only some pixels are taken.
const LARGEST: f32 = 2048.0;

/// Makes a 160 × 160 JPEG of the face with a margin; beyond the image, its edge pixels are repeated. Empty where the
/// box or the pixels have no area.
pub fn jpeg(pixels: &Pixels, bbox: &BBox) -> Vec<u8> {
    cut(pixels, bbox)
        .and_then(|square| letterbox::resize(&square, SIDE, SIDE))
        .map(|pixels| encode(&pixels))
        .unwrap_or_default()
}

/// Cuts out the square around the box, at its own resolution up to [`LARGEST`].
fn cut(pixels: &Pixels, bbox: &BBox) -> Option<Pixels> {
    let side = bbox.width.max(bbox.height) * (1.0 + 2.0 * MARGIN);
    let (cx, cy) = (bbox.x + bbox.width / 2.0, bbox.y + bbox.height / 2.0);
    let (width, height) = (pixels.width as usize, pixels.height as usize);
    let (source, _) = pixels.data.as_chunks::<3>();
    let finite = side.is_finite() && cx.is_finite() && cy.is_finite();
    if !finite || side < 1.0 || source.is_empty() || source.len() != width * height {
        return None;
    }
    let count = side.min(LARGEST).round().max(1.0) as u32;
    let step = side / count as f32;
    let place = |start: f32, i: u32, limit: usize| ((start + (i as f32 + 0.5) * step) as usize).min(limit - 1);
    let (left, top) = (cx - side / 2.0, cy - side / 2.0);
    let columns: Vec<usize> = (0..count).map(|i| place(left, i, width)).collect();
    let mut data = Vec::with_capacity(count as usize * count as usize * 3);
    for y in 0..count {
        let row = &source[place(top, y, height) * width..][..width];
        columns.iter().for_each(|&x| data.extend_from_slice(&row[x]));
    }
    Some(Pixels { width: count, height: count, data })
}

fn encode(pixels: &Pixels) -> Vec<u8> {
    let (width, height) = (pixels.width as usize, pixels.height as usize);
    let image = turbojpeg::Image {
        pixels: pixels.data.as_slice(),
        width,
        pitch: width * 3,
        height,
        format: turbojpeg::PixelFormat::RGB,
    };
    turbojpeg::compress(image, QUALITY, turbojpeg::Subsamp::Sub2x2).map(|jpeg| jpeg.to_vec()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_face_becomes_a_square_jpeg_even_at_the_edge() {
        let data = (0..200 * 100 * 3u32).map(|i| (i % 255) as u8).collect();
        let pixels = Pixels { width: 200, height: 100, data };
        for (x, y, width, height) in [(60.0, 20.0, 40.0, 50.0), (-30.0, -30.0, 60.0, 60.0), (180.0, 80.0, 500.0, 9.0)] {
            let jpeg = jpeg(&pixels, &BBox { x, y, width, height });
            let header = turbojpeg::read_header(&jpeg).unwrap();
            assert_eq!((header.width, header.height), (160, 160));
        }
    }

    #[test]
    fn a_box_without_area_gives_no_picture() {
        let pixels = Pixels { width: 2, height: 2, data: vec![0; 12] };
        for side in [0.0, -5.0, f32::NAN, f32::INFINITY] {
            assert!(jpeg(&pixels, &BBox { x: 0.0, y: 0.0, width: side, height: side }).is_empty());
        }
    }
}
