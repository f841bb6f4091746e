//! Measures the fine detail of an image.

use crate::luma::Luma;

/// Returns the share of an image's fine variation that a small blur removes, as the smaller one of the two directions:
/// 0 (blurred already, or flat) to 1. It is a ratio, so it does not depend on brightness or contrast.
///
/// Source: Crété-Roffet et al., "The Blur Effect: Perception and Estimation with a New No-Reference Perceptual Blur
/// Metric", SPIE 2007, as 1 − blur, with their 9-tap mean as the blur.
pub(crate) fn measure(luma: &Luma) -> f32 {
    let across = kept(luma.width, luma.height, |line, i| luma.at(i, line));
    let along = kept(luma.height, luma.width, |line, i| luma.at(line, i));
    across.min(along)
}

/// Taps on each side of the 9-tap mean.
const REACH: usize = 4;

/// Returns the share of variation that the blur removes along `lines` lines of `length` values.
fn kept(length: usize, lines: usize, at: impl Fn(usize, usize) -> f32) -> f32 {
    let (mut total, mut lost) = (0.0f64, 0.0f64);
    if length < 2 * REACH + 3 {
        return 0.0;
    }
    let mut blurred = vec![0.0f32; length];
    for line in 0..lines {
        for (i, value) in blurred.iter_mut().enumerate() {
            let window = i.saturating_sub(REACH)..(i + REACH + 1).min(length);
            let count = window.len() as f32;
            *value = window.map(|j| at(line, j)).sum::<f32>() / count;
        }
        for i in 1..length {
            let sharp = (at(line, i) - at(line, i - 1)).abs();
            let smooth = (blurred[i] - blurred[i - 1]).abs();
            total += f64::from(sharp);
            lost += f64::from((sharp - smooth).max(0.0));
        }
    }
    // Below half a grey level per pixel there is nothing to judge.
    let floor = 0.5 / 255.0 * (lines * (length - 1)) as f64 * 0.2;
    (lost / total.max(floor)) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plane(width: usize, height: usize, at: impl Fn(usize, usize) -> f32) -> Luma {
        Luma { width, height, data: (0..width * height).map(|i| at(i % width, i / width)).collect() }
    }

    #[test]
    fn detail_is_sharp_and_a_slope_is_not() {
        let checks = plane(64, 64, |x, y| ((x / 2 + y / 2) % 2) as f32);
        let slope = plane(64, 64, |x, y| (x + y) as f32 / 128.0);
        let flat = plane(64, 64, |_, _| 0.5);
        assert!(measure(&checks) > 0.7, "{}", measure(&checks));
        assert!(measure(&slope) < 0.1, "{}", measure(&slope));
        assert_eq!(measure(&flat), 0.0);
    }

    #[test]
    fn contrast_and_brightness_do_not_matter() {
        let checks = |low: f32, high: f32| plane(64, 64, |x, y| if (x / 3 + y / 3) % 2 == 0 { low } else { high });
        assert!((measure(&checks(0.0, 1.0)) - measure(&checks(0.4, 0.5))).abs() < 1e-3);
    }

    #[test]
    fn a_plane_too_small_to_judge_is_not_sharp() {
        assert_eq!(measure(&plane(3, 3, |x, _| x as f32)), 0.0);
        assert_eq!(measure(&plane(0, 0, |_, _| 0.0)), 0.0);
    }
}
