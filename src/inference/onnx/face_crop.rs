//! Crops faces out of an image, each from a decode that is large enough for it.

use muster_actors::domain::face::BBox;
use muster_actors::domain::image::{Frame, Pixels, Rejection};

use muster_vision::decode::{Region, closer_region};
use muster_vision::{Detection, align, thumbnail};

/// Margin around a face, as a share of its longer side, which the aligned crop and the thumbnail need.
const MARGIN: f32 = 0.6;

/// A face with its crop and thumbnail.
#[derive(Clone, Debug)]
pub struct FaceCrop {
    /// The detection, in pixels of the full image.
    pub face: Detection,
    /// The aligned crop of 112 × 112 pixels, the input of an embedder.
    pub crop: Pixels,
    /// The thumbnail that people see, a JPEG.
    pub thumbnail: Vec<u8>,
}

/// Crops all `faces`, which are in pixels of the full image. If a crop would be magnified although the image has
/// more pixels, the part of the image with such faces is decoded again, once. `least` is the scale, in pixels of the
/// image per pixel of the crop, from which a face does not need that. Faces with degenerate landmarks are dropped.
///
/// # Errors
/// A [`Rejection`] when the part of the image cannot be decoded.
pub fn crop_faces(frame: &Frame, faces: &[Detection], least: f32) -> Result<Vec<FaceCrop>, Rejection> {
    let scale = frame.scale;
    let wanted = |face: &Detection| (least / align::scale(&face.landmarks)).min(1.0);
    // A larger decode that adds less than a twentieth is not worth its time.
    let is_short = |face: &&Detection| scale * 1.05 < wanted(face);
    let short: Vec<&Detection> = faces.iter().filter(is_short).collect();
    let region = match short.iter().map(|face| around(&face.bbox)).reduce(union) {
        Some(part) => {
            let scale = short.iter().map(|face| wanted(face)).fold(0.0, f32::max);
            Some(closer_region(frame, scale, &part)?)
        }
        None => None,
    };
    let one = |face: &Detection| {
        let source = match &region {
            Some(region) if is_short(&face) => Source::of_region(region),
            _ => Source { pixels: &frame.pixels, x: 0.0, y: 0.0, scale },
        };
        let crop = align::to_template(source.pixels, &face.landmarks.map(|point| source.local(point)))?;
        Some(FaceCrop { face: *face, crop, thumbnail: thumbnail::jpeg(source.pixels, &source.local_box(&face.bbox)) })
    };
    Ok(faces.iter().filter_map(one).collect())
}

/// Converts a face of the full image to the pixels of a frame.
pub fn in_frame(frame: &Frame, face: &Detection) -> Detection {
    let source = Source { pixels: &frame.pixels, x: 0.0, y: 0.0, scale: frame.scale };
    let landmarks = face.landmarks.map(|point| source.local(point));
    Detection { bbox: source.local_box(&face.bbox), landmarks, score: face.score }
}

/// Pixels, with their place in the full image.
struct Source<'a> {
    pixels: &'a Pixels,
    x: f32,
    y: f32,
    scale: f32,
}

impl<'a> Source<'a> {
    fn of_region(region: &'a Region) -> Self {
        Self { pixels: &region.pixels, x: region.x as f32, y: region.y as f32, scale: region.scale }
    }

    /// Converts a point of the full image to these pixels; whole coordinates are the centres of pixels.
    fn local(&self, [x, y]: [f32; 2]) -> [f32; 2] {
        [(x + 0.5) * self.scale - 0.5 - self.x, (y + 0.5) * self.scale - 0.5 - self.y]
    }

    fn local_box(&self, bbox: &BBox) -> BBox {
        let (x, y) = (bbox.x * self.scale - self.x, bbox.y * self.scale - self.y);
        BBox { x, y, width: bbox.width * self.scale, height: bbox.height * self.scale }
    }
}

fn around(bbox: &BBox) -> BBox {
    let margin = bbox.width.max(bbox.height) * MARGIN;
    let (width, height) = (bbox.width + 2.0 * margin, bbox.height + 2.0 * margin);
    BBox { x: bbox.x - margin, y: bbox.y - margin, width, height }
}

fn union(a: BBox, b: BBox) -> BBox {
    let (x, y) = (a.x.min(b.x), a.y.min(b.y));
    let (right, bottom) = ((a.x + a.width).max(b.x + b.width), (a.y + a.height).max(b.y + b.height));
    BBox { x, y, width: right - x, height: bottom - y }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_keeps_its_place_at_any_scale_and_offset() {
        let pixels = Pixels { width: 1, height: 1, data: vec![0; 3] };
        let table = [(1.0, 0.0, [7.0, 9.0]), (0.5, 0.0, [3.25, 4.25]), (0.5, 2.0, [1.25, 2.25])];
        for (scale, offset, expected) in table {
            let source = Source { pixels: &pixels, x: offset, y: offset, scale };
            assert_eq!(source.local([7.0, 9.0]), expected);
        }
    }

    #[test]
    fn a_face_is_found_again_in_a_frame_of_half_the_size() {
        let pixels = Pixels { width: 50, height: 40, data: vec![0; 50 * 40 * 3] };
        let frame = Frame {
            pixels,
            scale: 0.5,
            width: 100,
            height: 80,
            orientation: 1,
            taken: None,
            picture: None,
            source: Default::default(),
        };
        let bbox = BBox { x: 20.0, y: 30.0, width: 16.0, height: 24.0 };
        let face = in_frame(&frame, &Detection { bbox, landmarks: [[7.0, 9.0]; 5], score: 0.7 });
        assert_eq!(face.bbox, BBox { x: 10.0, y: 15.0, width: 8.0, height: 12.0 });
        assert_eq!((face.landmarks[4], face.score), ([3.25, 4.25], 0.7));
    }

    #[test]
    fn the_union_holds_both_faces_with_room() {
        let face = |x: f32, y: f32| BBox { x, y, width: 10.0, height: 20.0 };
        let both = union(around(&face(0.0, 0.0)), around(&face(50.0, 30.0)));
        assert_eq!(both, BBox { x: -12.0, y: -12.0, width: 84.0, height: 74.0 });
    }
}
