//! Estimates whether eyes or mouth are covered.

use super::occlusion_weights::{BIAS_EYE, BIAS_MOUTH, EYE, MOUTH};
use crate::luma::{Luma, moments};

/// A window of the 112 × 112 crop in pixels.
struct Window {
    left: usize,
    top: usize,
    /// Columns and rows of one cell; a window has [`GRID`] × [`GRID`] of them.
    cell: (usize, usize),
}

/// Cells of a window in each direction.
pub(super) const GRID: usize = 4;
/// Channels: four gradient directions and luma.
const CHANNELS: usize = 5;
/// Values that describe one window: channel by channel, row-major.
pub(super) const FEATURES: usize = CHANNELS * GRID * GRID;

/// The eye at the image's left. The other eye is examined in the mirrored crop.
const EYE_WINDOW: Window = Window { left: 22, top: 38, cell: (8, 6) };
const MOUTH_WINDOW: Window = Window { left: 36, top: 80, cell: (10, 6) };
/// The area of eyes, nose and mouth (left, top, right, bottom), to which gradients and luma are related.
const FACE: (usize, usize, usize, usize) = (20, 36, 92, 108);

/// Estimates the likelihood, 0 (open) to 1 (covered), that an eye or the mouth is covered.
///
/// A covered part has lost its structure: an eye has a dark horizontal stroke with bright sides, and a hand, glass or
/// cloth has none or another one. Each window is described by 4 × 4 cells of gradient strength in four directions,
/// relative to that of the whole face (histograms of gradients, Dalal and Triggs, CVPR 2005), and of luma relative to
/// the face. One logistic regression judges the eyes and one the mouth, and the highest likelihood counts.
/// `tests/fixtures/occlusion_train.py` learns the weights from real and synthetic faces with drawn covers;
/// docs/quality.md says what the estimate can tell.
pub(crate) fn estimate(crop: &Luma) -> f32 {
    if crop.width != 112 || crop.height != 112 {
        return 0.0;
    }
    let mirrored = mirror(crop);
    let left = likelihood(&features(crop, &EYE_WINDOW), &EYE, BIAS_EYE);
    let right = likelihood(&features(&mirrored, &EYE_WINDOW), &EYE, BIAS_EYE);
    let mouth = likelihood(&features(crop, &MOUTH_WINDOW), &MOUTH, BIAS_MOUTH);
    left.max(right).max(mouth)
}

fn likelihood(features: &[f32; FEATURES], weights: &[f32; FEATURES], bias: f32) -> f32 {
    let sum: f32 = features.iter().zip(weights).map(|(f, w)| f * w).sum();
    1.0 / (1.0 + (-(sum + bias)).exp())
}

fn mirror(crop: &Luma) -> Luma {
    let data = crop.data.chunks(crop.width.max(1)).flat_map(|row| row.iter().rev().copied()).collect();
    Luma { width: crop.width, height: crop.height, data }
}

/// Computes the central differences at a pixel.
fn gradient(crop: &Luma, x: usize, y: usize) -> (f32, f32) {
    ((crop.at(x + 1, y) - crop.at(x - 1, y)) / 2.0, (crop.at(x, y + 1) - crop.at(x, y - 1)) / 2.0)
}

fn features(crop: &Luma, window: &Window) -> [f32; FEATURES] {
    let (left, top, right, bottom) = FACE;
    let places = (top..bottom).flat_map(|y| (left..right).map(move |x| (x, y)));
    let (mean, deviation) = moments(places.clone().map(|(x, y)| crop.at(x, y)));
    let strength = |(x, y)| {
        let (gx, gy) = gradient(crop, x, y);
        gx.abs() + gy.abs()
    };
    let energy = moments(places.map(strength)).0 + 0.005;
    let mut out = [0.0; FEATURES];
    let cells = GRID * GRID;
    let (columns, rows) = window.cell;
    let area = (columns * rows) as f32;
    for cell in 0..cells {
        let (x0, y0) = (window.left + cell % GRID * columns, window.top + cell / GRID * rows);
        let mut sums = [0.0f32; CHANNELS];
        for (x, y) in (y0..y0 + rows).flat_map(|y| (x0..x0 + columns).map(move |x| (x, y))) {
            let (gx, gy) = gradient(crop, x, y);
            let diagonal = std::f32::consts::FRAC_1_SQRT_2;
            let strengths = [gx.abs(), gy.abs(), (gx + gy).abs() * diagonal, (gx - gy).abs() * diagonal];
            for (sum, value) in sums.iter_mut().zip(strengths) {
                *sum += value / energy;
            }
            sums[4] += (crop.at(x, y) - mean) / (deviation + 0.02);
        }
        for (channel, sum) in sums.into_iter().enumerate() {
            out[channel * cells + cell] = (sum / area).clamp(-4.0, 4.0);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_a_likelihood_and_the_same_for_a_mirrored_face_up_to_its_mouth() {
        let crop =
            Luma { width: 112, height: 112, data: (0..112 * 112).map(|i| (i * 31 % 97) as f32 / 97.0).collect() };
        let value = estimate(&crop);
        assert!((0.0..=1.0).contains(&value));
        let eyes = |crop: &Luma| likelihood(&features(crop, &EYE_WINDOW), &EYE, BIAS_EYE);
        let there_and_back = mirror(&mirror(&crop));
        assert_eq!(there_and_back, crop);
        assert_eq!(eyes(&there_and_back), eyes(&crop));
    }

    #[test]
    fn features_are_relative_to_the_face() {
        let crop = |gain: f32, offset: f32| {
            let at = |i: usize| gain * (((i % 112) * 7 + (i / 112) * 5) % 41) as f32 / 41.0 + offset;
            Luma { width: 112, height: 112, data: (0..112 * 112).map(at).collect() }
        };
        let (a, b) = (features(&crop(1.0, 0.0), &EYE_WINDOW), features(&crop(0.8, 0.2), &EYE_WINDOW));
        assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() < 0.05));
    }
}
