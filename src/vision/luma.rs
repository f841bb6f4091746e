//! The luma of pixels, on which the quality measures are based.

use muster_actors::domain::image::Pixels;

/// A plane of luma, 0 to 1, row-major.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Luma {
    /// Number of columns.
    pub width: usize,
    /// Number of rows.
    pub height: usize,
    /// `width * height` values.
    pub data: Vec<f32>,
}

impl Luma {
    /// Computes the luma by ITU-R BT.601, from gamma-coded RGB.
    pub fn from_pixels(pixels: &Pixels) -> Self {
        let luma = |&[r, g, b]: &[u8; 3]| (0.299 * f32::from(r) + 0.587 * f32::from(g) + 0.114 * f32::from(b)) / 255.0;
        let data: Vec<f32> = pixels.data.as_chunks::<3>().0.iter().map(luma).collect();
        Self { width: pixels.width as usize, height: pixels.height as usize, data }
    }

    /// Returns the value at column `x` and row `y`.
    pub fn at(&self, x: usize, y: usize) -> f32 {
        self.data[y * self.width + x]
    }
}

/// Computes mean and standard deviation; both are 0 where there are no values.
pub fn moments(values: impl Iterator<Item = f32> + Clone) -> (f32, f32) {
    let count = values.clone().count().max(1) as f32;
    let mean = values.clone().sum::<f32>() / count;
    let variance = values.map(|v| (v - mean) * (v - mean)).sum::<f32>() / count;
    (mean, variance.sqrt())
}
