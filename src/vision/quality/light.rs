//! Measures the light on an aligned face.

use crate::luma::{Luma, moments};

/// The light on a face; all values are shares of full luma.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Light {
    /// Mean luma, 0 to 1.
    pub level: f32,
    /// Standard deviation of luma, 0 to 0.5 (RMS contrast, Peli, "Contrast in complex images", JOSA A 1990).
    pub contrast: f32,
    /// Difference of mean luma between the halves of the face left and right of the nose, 0 to 1.
    pub unevenness: f32,
    /// Share of the face that is overexposed (luma ≥ 0.98), 0 to 1.
    pub clipped: f32,
}

/// Measures the light within an ellipse around eyes, nose and mouth of the 112 × 112 template, without hair and
/// background.
pub(crate) fn measure(crop: &Luma) -> Light {
    let face: Vec<(usize, f32)> = (0..crop.data.len())
        .filter(|i| inside((i % crop.width) as f32, (i / crop.width) as f32))
        .map(|i| (i % crop.width, crop.data[i]))
        .collect();
    let (level, contrast) = moments(face.iter().map(|f| f.1));
    let half = |left: bool| moments(face.iter().filter(|f| (f.0 < 56) == left).map(|f| f.1)).0;
    let clipped = face.iter().filter(|f| f.1 >= 0.98).count() as f32 / face.len().max(1) as f32;
    Light { level, contrast, unevenness: (half(true) - half(false)).abs(), clipped }
}

/// Returns whether a point lies in the ellipse with half axes 34 and 44 pixels about (56, 70).
fn inside(x: f32, y: f32) -> bool {
    let (dx, dy) = ((x + 0.5 - 56.0) / 34.0, (y + 0.5 - 70.0) / 44.0);
    dx * dx + dy * dy <= 1.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crop(at: impl Fn(usize) -> f32) -> Luma {
        Luma { width: 112, height: 112, data: (0..112 * 112).map(|i| at(i % 112)).collect() }
    }

    #[test]
    fn level_contrast_and_unevenness_are_in_parts_of_full_luma() {
        let flat = measure(&crop(|_| 0.3));
        assert!((flat.level - 0.3).abs() < 1e-4 && flat.contrast < 1e-4 && flat.unevenness < 1e-4);
        let half = measure(&crop(|x| if x < 56 { 0.2 } else { 0.8 }));
        assert!((half.level - 0.5).abs() < 0.01);
        assert!((half.contrast - 0.3).abs() < 0.01);
        assert!((half.unevenness - 0.6).abs() < 0.01);
        assert!(measure(&crop(|_| 1.0)).clipped > 0.99);
    }
}
