//! Decodes YuNet's heads (OpenCV Zoo `face_detection_yunet_2023mar`).
//!
//! Source: OpenCV `modules/objdetect/src/face_detect.cpp`, `FaceDetectorYNImpl::postProcess`; Wu et al., "YuNet: A Tiny
//! Millisecond-level Face Detector", 2023.

use muster_actors::domain::face::BBox;

use super::{HeadError, check, grid, is_finite};
use crate::Detection;

/// One level of the heads for one image, with `cells` = (width / stride) · (height / stride), row-major.
#[derive(Clone, Copy, Debug)]
pub struct Level<'a> {
    /// Pixels of the input per cell: 8, 16 or 32.
    pub stride: u32,
    /// `cells` probabilities that the object is a face.
    pub cls: &'a [f32],
    /// `cells` probabilities that there is an object.
    pub obj: &'a [f32],
    /// `cells` × 4: centre offset and logarithm of the size, in strides.
    pub bbox: &'a [f32],
    /// `cells` × 10: five points, in strides from the cell.
    pub kps: &'a [f32],
}

/// Decodes the faces with at least `min_score` in an input of `width` × `height` pixels, before suppression. The score
/// is sqrt(cls · obj), with each clamped to 0..1.
///
/// # Errors
/// [`HeadError`] when a tensor's length does not fit the input.
pub fn decode(levels: &[Level<'_>], width: u32, height: u32, min_score: f32) -> Result<Vec<Detection>, HeadError> {
    let mut found = Vec::new();
    for level in levels {
        let (columns, rows) = grid(width, height, level.stride)?;
        let cells = columns * rows;
        check("cls", level.stride, level.cls.len(), cells)?;
        check("obj", level.stride, level.obj.len(), cells)?;
        check("bbox", level.stride, level.bbox.len(), cells * 4)?;
        check("kps", level.stride, level.kps.len(), cells * 10)?;
        let stride = level.stride as f32;
        let (boxes, points) = (level.bbox.as_chunks::<4>().0, level.kps.as_chunks::<10>().0);
        for (cell, (cls, obj)) in level.cls.iter().zip(level.obj).enumerate() {
            let score = (cls.clamp(0.0, 1.0) * obj.clamp(0.0, 1.0)).sqrt();
            if score.is_nan() || score < min_score {
                continue;
            }
            let (column, row) = ((cell % columns) as f32, (cell / columns) as f32);
            let [dx, dy, lw, lh] = boxes[cell];
            let (cx, cy) = ((column + dx) * stride, (row + dy) * stride);
            let (w, h) = (lw.exp() * stride, lh.exp() * stride);
            let kps = points[cell];
            let landmarks = std::array::from_fn(|i| [(kps[2 * i] + column) * stride, (kps[2 * i + 1] + row) * stride]);
            let bbox = BBox { x: cx - w / 2.0, y: cy - h / 2.0, width: w, height: h };
            let detection = Detection { bbox, landmarks, score };
            if is_finite(&detection) {
                found.push(detection);
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_becomes_a_box_and_five_points() {
        let cells = 4 * 2;
        let (mut cls, mut obj) = (vec![0.0; cells], vec![0.0; cells]);
        let (mut bbox, mut kps) = (vec![0.0; cells * 4], vec![0.0; cells * 10]);
        // Column 1, row 1; 1.2 is clamped to 1.
        (cls[5], obj[5]) = (1.2, 0.64);
        bbox[20..24].copy_from_slice(&[0.5, 0.25, 2f32.ln(), 1f32.ln()]);
        kps[50..60].copy_from_slice(&[0.0, 0.0, 1.0, 0.0, 0.5, 0.5, 0.0, 1.0, 1.0, 1.0]);
        let level = Level { stride: 32, cls: &cls, obj: &obj, bbox: &bbox, kps: &kps };
        let found = decode(&[level], 128, 64, 0.6).unwrap();
        assert_eq!(found.len(), 1);
        assert!((found[0].score - 0.8).abs() < 1e-6);
        assert_eq!(found[0].bbox, BBox { x: 16.0, y: 24.0, width: 64.0, height: 32.0 });
        assert_eq!(found[0].landmarks, [[32.0, 32.0], [64.0, 32.0], [48.0, 48.0], [32.0, 64.0], [64.0, 64.0]]);
        assert!(decode(&[level], 128, 64, 0.81).unwrap().is_empty());
    }

    #[test]
    fn wrong_lengths_are_errors_and_broken_numbers_are_no_faces() {
        let ones = vec![1.0; 80];
        let level = Level { stride: 32, cls: &ones[..8], obj: &ones[..8], bbox: &ones[..32], kps: &ones[..79] };
        let error = decode(&[level], 128, 64, 0.5).unwrap_err();
        assert_eq!(error, HeadError::Length { tensor: "kps", stride: 32, got: 79, want: 80 });
        assert_eq!(decode(&[Level { stride: 0, ..level }], 128, 64, 0.5).unwrap_err(), HeadError::Stride);
        let nan = vec![f32::NAN; 80];
        let level = Level { stride: 32, cls: &nan[..8], obj: &ones[..8], bbox: &ones[..32], kps: &ones };
        assert!(decode(&[level], 128, 64, 0.0).unwrap().is_empty());
        let huge = vec![1e30; 80];
        let level = Level { stride: 32, cls: &ones[..8], obj: &ones[..8], bbox: &huge[..32], kps: &ones };
        assert!(decode(&[level], 128, 64, 0.0).unwrap().is_empty());
    }
}
