//! Makes small upright views of a detection, which the detector scores again.
//!
//! A face is found again in each view at the same place; an object that looked like a face once seldom is.

use muster_actors::domain::face::BBox;
use muster_actors::domain::image::Pixels;

use super::Detection;
use super::align::{Similarity, warp};

/// Sizes of the views in pixels: the size of the face (the square root of its box's area), and the side of the square
/// around it, which is a multiple of the detector's coarsest stride. Without any of these sizes, faces or objects are
/// judged worse; see docs/quality.md.
const SIZES: [(f64, u32); 3] = [(40.0, 96), (64.0, 160), (96.0, 224)];
/// Number of views of one detection: each size as it is, and mirrored.
pub const VIEWS: usize = 2 * SIZES.len();
/// Least overlap (intersection over union, 0 to 1) at which a detection in a view is of the expected face.
const OVERLAP: f32 = 0.4;

/// One view of a detection.
#[derive(Clone, Debug, PartialEq)]
pub struct View {
    /// RGB pixels, black outside of the image.
    pub pixels: Pixels,
    /// Place where the face is expected, in pixels of the view.
    pub expected: BBox,
}

impl View {
    /// Returns the best score, 0 to 1, among the detections at the expected place; 0 where there is none.
    pub fn score(&self, found: &[Detection]) -> f32 {
        let here = found.iter().filter(|face| face.bbox.overlap(&self.expected) >= OVERLAP);
        here.map(|face| face.score).fold(0.0, f32::max)
    }
}

/// Makes the views of a detection that is in pixels of `pixels`. The views are turned upright by its landmarks, with
/// its box in the middle. `None` where the landmarks are degenerate, as in [`super::align::to_template`], or the box
/// has no area.
pub fn views(pixels: &Pixels, face: &Detection) -> Option<Vec<View>> {
    let map = Similarity::to_template(&face.landmarks)?;
    let BBox { x, y, width, height } = face.bbox;
    let [x, y, width, height] = [x, y, width, height].map(f64::from);
    let size = (width * height).sqrt();
    if !(size.is_finite() && size > 0.0 && x.is_finite() && y.is_finite()) {
        return None;
    }
    // Whole coordinates are the centres of pixels.
    let centre = [x + width / 2.0 - 0.5, y + height / 2.0 - 0.5];
    let mut views = Vec::with_capacity(VIEWS);
    for (face, side) in SIZES {
        let (zoom, middle) = (face / size, f64::from(side) / 2.0);
        let upright = map.upright(zoom, centre, [middle - 0.5; 2]);
        let pixels = warp(pixels, &upright, side)?;
        let (width, height) = (width * zoom, height * zoom);
        let expected = BBox {
            x: (middle - width / 2.0) as f32,
            y: (middle - height / 2.0) as f32,
            width: width as f32,
            height: height as f32,
        };
        // The box is in the middle, so it stays in its place in the mirrored view.
        let mirrored = View { pixels: mirror(&pixels), expected };
        views.extend([View { pixels, expected }, mirrored]);
    }
    Some(views)
}

/// Mirrors pixels left to right.
fn mirror(pixels: &Pixels) -> Pixels {
    let (source, _) = pixels.data.as_chunks::<3>();
    let width = (pixels.width as usize).max(1);
    let data = source.chunks(width).flat_map(|row| row.iter().rev()).flatten().copied().collect();
    Pixels { data, ..*pixels }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::align::TEMPLATE;

    /// A white square of `side` pixels at (`x`, `y`) of a black picture, with the points of a face turned by `degrees`.
    fn marked(x: u32, y: u32, side: u32, degrees: f32) -> (Pixels, Detection) {
        let (width, height) = (400, 300);
        let inside = |at: u32, from: u32| at >= from && at < from + side;
        let lit = |i: u32| inside(i % width, x) && inside(i / width, y);
        let data = (0..width * height).flat_map(|i| [if lit(i) { 255 } else { 0 }; 3]).collect();
        let (sin, cos) = degrees.to_radians().sin_cos();
        let landmarks = TEMPLATE.map(|[u, v]| [cos * u - sin * v + 100.0, sin * u + cos * v + 100.0]);
        let bbox = BBox { x: x as f32, y: y as f32, width: side as f32, height: side as f32 };
        (Pixels { width, height, data }, Detection { bbox, landmarks, score: 0.7 })
    }

    #[test]
    fn the_box_lies_in_the_middle_of_each_view_at_its_size() {
        for (x, y, side, degrees) in [(100, 120, 40, 0.0), (30, 200, 80, 0.0), (200, 50, 20, 0.0), (150, 100, 64, 90.0)]
        {
            let (pixels, face) = marked(x, y, side, degrees);
            let views = views(&pixels, &face).unwrap();
            assert_eq!(views.len(), VIEWS);
            for (view, (size, around)) in views.iter().zip(SIZES.iter().flat_map(|size| [size; 2])) {
                assert_eq!((view.pixels.width, view.pixels.height), (*around, *around));
                let margin = (f64::from(*around) - size) / 2.0;
                assert!((f64::from(view.expected.x) - margin).abs() < 1e-3, "{:?}", view.expected);
                let lit = |x: f64, y: f64| view.pixels.data[(y as usize * *around as usize + x as usize) * 3] > 128;
                let (low, high) = (margin + 2.0, margin + size - 3.0);
                for (x, y) in [(low, low), (high, low), (low, high), (high, high)] {
                    assert!(lit(x, y), "{side} pixels in {around} at {x}, {y}");
                }
                assert!(!lit(margin - 3.0, margin) && !lit(margin, margin - 3.0) && !lit(margin + size + 2.0, margin));
            }
        }
    }

    #[test]
    fn a_view_is_mirrored_beside_itself() {
        let pixels = Pixels { width: 2, height: 2, data: vec![1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12] };
        assert_eq!(mirror(&pixels).data, [4, 5, 6, 1, 2, 3, 10, 11, 12, 7, 8, 9]);
        assert_eq!(mirror(&mirror(&pixels)), pixels);
    }

    #[test]
    fn the_score_is_the_best_of_those_that_lie_there() {
        let at = |x: f32, score: f32| {
            let bbox = BBox { x, y: 28.0, width: 40.0, height: 40.0 };
            Detection { bbox, landmarks: [[0.0; 2]; 5], score }
        };
        let pixels = Pixels { width: 96, height: 96, data: vec![0; 96 * 96 * 3] };
        let view = View { pixels, expected: at(28.0, 0.0).bbox };
        for (found, score) in [
            (vec![], 0.0),
            (vec![at(28.0, 0.3), at(30.0, 0.6), at(27.0, 0.5)], 0.6),
            // A third of both boxes is shared: another face.
            (vec![at(48.0, 0.9)], 0.0),
            (vec![at(45.0, 0.9)], 0.9),
        ] {
            assert_eq!(view.score(&found), score, "{found:?}");
        }
    }

    #[test]
    fn what_has_no_points_or_no_area_has_no_views() {
        let (pixels, face) = marked(100, 100, 40, 0.0);
        let flat = BBox { width: 0.0, ..face.bbox };
        let wild = BBox { x: f32::NAN, ..face.bbox };
        for face in [
            Detection { landmarks: [[3.0; 2]; 5], ..face },
            Detection { bbox: flat, ..face },
            Detection { bbox: wild, ..face },
        ] {
            assert_eq!(views(&pixels, &face), None);
        }
    }
}
