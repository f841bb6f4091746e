//! Decodes the tensors of a detector's heads to faces.

pub mod scrfd;
pub mod yunet;

use muster_actors::domain::face::BBox;

use super::Detection;

/// The error that a head's tensors do not fit the input.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeadError {
    /// A level has stride 0.
    #[error("a detector head has stride 0")]
    Stride,
    /// A tensor has the wrong length.
    #[error("the {tensor} tensor of stride {stride} has {got} values instead of {want}")]
    Length {
        /// Name of the tensor.
        tensor: &'static str,
        /// Stride of its level, in pixels.
        stride: u32,
        /// Number of values that the tensor has.
        got: usize,
        /// Length that the size of the input requires.
        want: usize,
    },
}

fn check(tensor: &'static str, stride: u32, got: usize, want: usize) -> Result<(), HeadError> {
    if got == want { Ok(()) } else { Err(HeadError::Length { tensor, stride, got, want }) }
}

/// Returns the columns and rows of a level's grid.
fn grid(width: u32, height: u32, stride: u32) -> Result<(usize, usize), HeadError> {
    if stride == 0 {
        return Err(HeadError::Stride);
    }
    Ok((width.div_ceil(stride) as usize, height.div_ceil(stride) as usize))
}

fn is_finite(detection: &Detection) -> bool {
    let b = &detection.bbox;
    [b.x, b.y, b.width, b.height].iter().chain(detection.landmarks.as_flattened()).all(|v| v.is_finite())
}

/// Applies greedy non-maximum suppression: a face is dropped when it overlaps a kept one with a higher score by more
/// than `iou` (intersection over union, 0 to 1). Faces with equal scores are ordered by position, so the order of the
/// input does not matter.
pub fn nms(mut found: Vec<Detection>, iou: f32) -> Vec<Detection> {
    sort(&mut found);
    let mut kept: Vec<Detection> = Vec::new();
    for face in found {
        if kept.iter().all(|other| other.bbox.overlap(&face.bbox) <= iou) {
            kept.push(face);
        }
    }
    kept
}

fn sort(found: &mut [Detection]) {
    found.sort_by(|a, b| {
        let position = |d: &Detection| [d.bbox.x, d.bbox.y, d.bbox.width, d.bbox.height];
        b.score.total_cmp(&a.score).then_with(|| {
            let pairs = position(a).into_iter().zip(position(b));
            pairs.map(|(x, y)| x.total_cmp(&y)).find(|o| o.is_ne()).unwrap_or(std::cmp::Ordering::Equal)
        })
    });
}

/// Adds to the faces `main` of the first pass those that only the small second pass found; both have the same
/// coordinates.
///
/// The first pass sees more detail, so if both found a face, the box of the first stays. A face of the second pass that
/// lies mostly inside one of the first is the same face or a part of it, so it is dropped as well. In the opposite
/// case, a "face" of the first pass lies inside a face of the second that has a higher score (an eye or a mouth was
/// taken for a face); then that of the first pass is dropped.
pub fn merge_passes(main: Vec<Detection>, second: Vec<Detection>, iou: f32) -> Vec<Detection> {
    let inside = |inner: &BBox, outer: &BBox| {
        let area = inner.width * inner.height;
        area > 0.0 && inner.shared(outer) / area > 0.8
    };
    let mut kept = nms(main, iou);
    for face in nms(second, iou) {
        let clashes = |other: &Detection| {
            other.bbox.overlap(&face.bbox) > iou
                || inside(&face.bbox, &other.bbox)
                || (inside(&other.bbox, &face.bbox) && other.score >= face.score)
        };
        if kept.iter().any(clashes) {
            continue;
        }
        kept.retain(|other| !inside(&other.bbox, &face.bbox));
        kept.push(face);
    }
    sort(&mut kept);
    kept
}

/// Returns the longer side, in pixels, of a second pass for faces that fill the image; `None` where the input (`width`
/// × `height`, as letterboxed) is so small that the first pass finds them.
///
/// YuNet and SCRFD find faces well up to about half of a 640-pixel input, and miss those that fill it. At a quarter of
/// the side such a face is 80 to 160 pixels wide, which is the middle of their range, for a sixteenth of the cost.
pub fn second_pass_side(width: u32, height: u32) -> Option<u32> {
    let longer = width.max(height);
    (longer >= 320).then(|| (longer / 4).next_multiple_of(32).max(160))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn face(x: f32, y: f32, side: f32, score: f32) -> Detection {
        Detection { bbox: BBox { x, y, width: side, height: side }, landmarks: [[x, y]; 5], score }
    }

    #[test]
    fn the_best_of_overlapping_faces_stays_whatever_the_order() {
        let faces = vec![face(0.0, 0.0, 10.0, 0.8), face(1.0, 0.0, 10.0, 0.9), face(50.0, 0.0, 10.0, 0.7)];
        let want = vec![faces[1], faces[2]];
        let mut order = faces.clone();
        for turn in 0..3 {
            order.rotate_left(turn);
            assert_eq!(nms(order.clone(), 0.3), want);
        }
        let mut equal = vec![face(2.0, 0.0, 10.0, 0.9), face(1.0, 0.0, 10.0, 0.9)];
        let first = nms(equal.clone(), 0.3);
        equal.reverse();
        assert_eq!(nms(equal, 0.3), first, "ties are broken by position");
    }

    #[test]
    fn the_second_pass_only_adds() {
        let main = vec![face(100.0, 100.0, 40.0, 0.9)];
        let same = face(102.0, 101.0, 42.0, 0.95);
        let part = face(105.0, 105.0, 10.0, 0.95);
        let far = face(300.0, 100.0, 200.0, 0.7);
        let merged = merge_passes(main.clone(), vec![same, part, far], 0.3);
        assert_eq!(merged, vec![main[0], far]);
    }

    #[test]
    fn a_part_taken_for_a_face_gives_way_to_the_whole_face() {
        let eye = face(200.0, 200.0, 50.0, 0.62);
        let whole = face(20.0, 20.0, 550.0, 0.9);
        assert_eq!(merge_passes(vec![eye], vec![whole], 0.3), vec![whole]);
        let in_front = face(200.0, 200.0, 50.0, 0.95);
        assert_eq!(merge_passes(vec![in_front], vec![whole], 0.3), vec![in_front], "a better face stays");
    }

    #[test]
    fn a_small_input_has_no_second_pass() {
        assert_eq!(second_pass_side(640, 480), Some(160));
        assert_eq!(second_pass_side(480, 640), Some(160));
        assert_eq!(second_pass_side(1280, 960), Some(320));
        assert_eq!(second_pass_side(160, 120), None);
    }
}
