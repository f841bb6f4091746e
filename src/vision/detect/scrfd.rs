//! Decodes SCRFD's heads (InsightFace packs: nine outputs, three for each level).
//!
//! Source: InsightFace `detection/scrfd/tools/scrfd.py`; Guo et al., "Sample and Computation Redistribution for
//! Efficient Face Detection", ICLR 2022.

use muster_actors::domain::face::BBox;

use super::{HeadError, check, grid, is_finite};
use crate::Detection;

/// Anchors in a cell; both lie at its top left corner.
const ANCHORS: usize = 2;

/// One level of the heads for one image, with `anchors` = 2 · (width / stride) · (height / stride), row-major by cell.
#[derive(Clone, Copy, Debug)]
pub struct Level<'a> {
    /// Pixels of the input per cell: 8, 16 or 32.
    pub stride: u32,
    /// `anchors` probabilities.
    pub score: &'a [f32],
    /// `anchors` × 4: distances to left, top, right and bottom edge, in strides.
    pub bbox: &'a [f32],
    /// `anchors` × 10: five points, in strides from the anchor.
    pub kps: &'a [f32],
}

/// Decodes the faces with at least `min_score` (0 to 1) in an input of `width` × `height` pixels, before suppression.
///
/// # Errors
/// [`HeadError`] when a tensor's length does not fit the input.
pub fn decode(levels: &[Level<'_>], width: u32, height: u32, min_score: f32) -> Result<Vec<Detection>, HeadError> {
    let mut found = Vec::new();
    for level in levels {
        let (columns, rows) = grid(width, height, level.stride)?;
        let anchors = columns * rows * ANCHORS;
        check("score", level.stride, level.score.len(), anchors)?;
        check("bbox", level.stride, level.bbox.len(), anchors * 4)?;
        check("kps", level.stride, level.kps.len(), anchors * 10)?;
        let stride = level.stride as f32;
        let (boxes, points) = (level.bbox.as_chunks::<4>().0, level.kps.as_chunks::<10>().0);
        for (anchor, &score) in level.score.iter().enumerate() {
            if score.is_nan() || score < min_score {
                continue;
            }
            let cell = anchor / ANCHORS;
            let (x, y) = ((cell % columns) as f32 * stride, (cell / columns) as f32 * stride);
            let [left, top, right, bottom] = boxes[anchor].map(|v| v * stride);
            let kps = points[anchor];
            let landmarks = std::array::from_fn(|i| [x + kps[2 * i] * stride, y + kps[2 * i + 1] * stride]);
            let bbox = BBox { x: x - left, y: y - top, width: left + right, height: top + bottom };
            let detection = Detection { bbox, landmarks, score };
            if is_finite(&detection) && bbox.width > 0.0 && bbox.height > 0.0 {
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
    fn an_anchor_becomes_a_box_and_five_points() {
        let anchors = 4 * 2 * ANCHORS;
        let mut score = vec![0.0; anchors];
        let (mut bbox, mut kps) = (vec![0.0; anchors * 4], vec![0.0; anchors * 10]);
        // Second anchor of column 2, row 1: cell 6, anchor 13.
        score[13] = 0.7;
        bbox[52..56].copy_from_slice(&[1.0, 0.5, 1.0, 1.5]);
        kps[130..140].copy_from_slice(&[-0.5, 0.0, 0.5, 0.0, 0.0, 0.5, -0.5, 1.0, 0.5, 1.0]);
        let level = Level { stride: 16, score: &score, bbox: &bbox, kps: &kps };
        let found = decode(&[level], 64, 32, 0.5).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].bbox, BBox { x: 16.0, y: 8.0, width: 32.0, height: 32.0 });
        assert_eq!(found[0].landmarks, [[24.0, 16.0], [40.0, 16.0], [32.0, 24.0], [24.0, 32.0], [40.0, 32.0]]);
    }

    #[test]
    fn wrong_lengths_are_errors() {
        let ones = vec![1.0; 160];
        let level = Level { stride: 16, score: &ones[..16], bbox: &ones[..63], kps: &ones };
        let error = decode(&[level], 64, 32, 0.5).unwrap_err();
        assert_eq!(error, HeadError::Length { tensor: "bbox", stride: 16, got: 63, want: 64 });
    }
}
