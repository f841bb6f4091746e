//! A face in a box that somebody drew: where its points are.

use muster_actors::domain::face::{BBox, Landmarks};
use muster_actors::domain::image::Frame;
use muster_actors::ports::engine::LEAST_SHARED;
use muster_vision::Detection;
use muster_vision::decode::{Region, closer_region};

/// Shortest side of a box, in pixels of the full image, that holds enough of a face to embed it.
const LEAST_SIDE: f32 = 12.0;
/// Pixels that the longer side of the box has in the part of the photo that the detector looks at.
const SEEN_SIDE: f32 = 160.0;
/// Room around the box for the detector, in parts of its longer side.
const MARGIN: f32 = 0.75;
/// Where the five points lie in a box of the detector, in parts of its width and height: the medians of 302 sure
/// detections of YuNet in the test photos, made symmetrical.
const POINTS: Landmarks = [[0.27, 0.387], [0.73, 0.387], [0.5, 0.585], [0.31, 0.736], [0.69, 0.736]];

/// Returns whether a box is large enough and has its middle in the image.
pub(super) fn can_hold_a_face(frame: &Frame, drawn: &BBox) -> bool {
    let BBox { x, y, width, height } = *drawn;
    let is_inside = |middle: f32, side: u32| middle >= 0.0 && middle <= side as f32;
    let (longest, sides) = (frame.width.max(frame.height) as f32 * 2.0, [width, height]);
    [x, y, width, height].iter().all(|value| value.is_finite())
        && sides.iter().all(|side| (LEAST_SIDE..=longest).contains(side))
        && is_inside(x + width / 2.0, frame.width)
        && is_inside(y + height / 2.0, frame.height)
}

/// Decodes the part of the image around a box; `None` where it cannot be decoded.
pub(super) fn closer(frame: &Frame, drawn: &BBox) -> Option<Region> {
    let longer = drawn.width.max(drawn.height);
    let margin = longer * MARGIN;
    let around = BBox {
        x: drawn.x - margin,
        y: drawn.y - margin,
        width: drawn.width + 2.0 * margin,
        height: drawn.height + 2.0 * margin,
    };
    closer_region(frame, (SEEN_SIDE / longer).min(1.0), &around).ok()
}

/// Returns the detection that shares most with the box, if that is enough, in pixels of the full image. `found` are
/// detections in pixels of the region.
pub(super) fn best(found: &[Detection], region: &Region, drawn: &BBox) -> Option<Detection> {
    let faces = found.iter().map(|face| in_full_image(face, region));
    let here = faces.filter(|face| face.bbox.overlap(drawn) >= LEAST_SHARED);
    here.max_by(|a, b| a.bbox.overlap(drawn).total_cmp(&b.bbox.overlap(drawn)))
}

/// Returns the points of an upright face that fills a box.
pub(super) fn landmarks(drawn: &BBox) -> Landmarks {
    POINTS.map(|[x, y]| [drawn.x + x * drawn.width, drawn.y + y * drawn.height])
}

/// A detection in pixels of the full image. The inverse of [`Region::local`]: whole coordinates of points are centres of
/// pixels, and those of boxes are edges.
fn in_full_image(face: &Detection, region: &Region) -> Detection {
    let (x, y) = (region.x as f32, region.y as f32);
    let point = |[px, py]: [f32; 2]| [(px + x + 0.5) / region.scale - 0.5, (py + y + 0.5) / region.scale - 0.5];
    let BBox { x: left, y: top, width, height } = face.bbox;
    let bbox = BBox {
        x: (left + x) / region.scale,
        y: (top + y) / region.scale,
        width: width / region.scale,
        height: height / region.scale,
    };
    Detection { bbox, landmarks: face.landmarks.map(point), score: face.score }
}

#[cfg(test)]
mod tests {
    use muster_actors::domain::image::Pixels;

    use super::*;

    fn frame() -> Frame {
        Frame {
            pixels: Pixels { width: 1, height: 1, data: vec![0; 3] },
            scale: 1.0,
            width: 100,
            height: 80,
            orientation: 1,
            taken: None,
            picture: None,
            source: Default::default(),
        }
    }

    fn bbox(x: f32, y: f32, width: f32, height: f32) -> BBox {
        BBox { x, y, width, height }
    }

    #[test]
    fn a_box_has_its_middle_in_the_image_and_some_pixels() {
        for (drawn, expected) in [
            (bbox(10.0, 10.0, 20.0, 20.0), true),
            (bbox(-9.0, -9.0, 20.0, 20.0), true),
            (bbox(-11.0, 10.0, 20.0, 20.0), false),
            (bbox(95.0, 10.0, 20.0, 20.0), false),
            (bbox(10.0, 10.0, 11.0, 20.0), false),
            (bbox(10.0, 10.0, 201.0, 20.0), false),
            (bbox(f32::NAN, 10.0, 20.0, 20.0), false),
            (bbox(10.0, 10.0, f32::INFINITY, 20.0), false),
            (bbox(10.0, 10.0, -20.0, 20.0), false),
        ] {
            assert_eq!(can_hold_a_face(&frame(), &drawn), expected, "{drawn:?}");
        }
    }

    #[test]
    fn a_detection_of_the_region_is_placed_in_the_full_image() {
        let pixels = Pixels { width: 40, height: 40, data: vec![0; 40 * 40 * 3] };
        let region = Region { pixels, x: 20, y: 10, scale: 0.5 };
        let face = Detection { bbox: bbox(5.0, 5.0, 10.0, 10.0), landmarks: [[7.0, 9.0]; 5], score: 0.4 };
        let other = Detection { bbox: bbox(30.0, 30.0, 8.0, 8.0), score: 0.9, ..face };
        let found = best(&[other, face], &region, &bbox(48.0, 28.0, 24.0, 24.0)).expect("the face in the box");
        assert_eq!((found.bbox, found.score), (bbox(50.0, 30.0, 20.0, 20.0), 0.4));
        assert_eq!(region.local(found.landmarks[0]), [7.0, 9.0]);
        assert!(best(&[other], &region, &bbox(48.0, 28.0, 24.0, 24.0)).is_none());
    }

    #[test]
    fn the_expected_points_are_a_face_that_can_be_aligned() {
        let points = landmarks(&bbox(10.0, 20.0, 60.0, 80.0));
        assert!(muster_vision::align::Similarity::to_template(&points).is_some());
        assert_eq!(points[2], [40.0, 66.8]);
    }
}
