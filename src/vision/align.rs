//! Aligns a face by its five landmarks to the embedder's crop of 112 × 112 pixels.

use muster_actors::domain::face::Landmarks;
use muster_actors::domain::image::Pixels;

/// Side of the aligned crop in pixels.
pub(crate) const SIDE: u32 = 112;

/// Positions of the five points in the crop, in pixels: ArcFace's template (InsightFace `face_align.py`,
/// `arcface_dst`).
pub(crate) const TEMPLATE: Landmarks =
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]];

/// Smallest scale, in source pixels per template pixel, of a face that can be aligned.
const MIN_SCALE: f32 = 0.02;

/// A similarity transform: (x, y) → (a·x − b·y + tx, b·x + a·y + ty).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Similarity {
    a: f64,
    b: f64,
    tx: f64,
    ty: f64,
}

impl Similarity {
    /// Computes the least-squares similarity from five points to the template, without reflection: Umeyama,
    /// "Least-squares estimation of transformation parameters between two point patterns", PAMI 1991, in its closed
    /// form for the plane. `None` where the points are not finite, coincide, or cannot be those of a face.
    pub fn to_template(landmarks: &Landmarks) -> Option<Self> {
        let points = landmarks.map(|p| p.map(f64::from));
        if points.as_flattened().iter().any(|v| !v.is_finite()) {
            return None;
        }
        let target = TEMPLATE.map(|p| p.map(f64::from));
        let mean = |points: &[[f64; 2]; 5]| {
            let sum = points.iter().fold([0.0, 0.0], |s, p| [s[0] + p[0], s[1] + p[1]]);
            sum.map(|v| v / 5.0)
        };
        let (from, to) = (mean(&points), mean(&target));
        let (mut spread, mut dot, mut cross) = (0.0, 0.0, 0.0);
        for (p, t) in points.iter().zip(&target) {
            let (x, y) = (p[0] - from[0], p[1] - from[1]);
            let (u, v) = (t[0] - to[0], t[1] - to[1]);
            spread += x * x + y * y;
            dot += x * u + y * v;
            cross += x * v - y * u;
        }
        let (a, b) = (dot / spread, cross / spread);
        let size = a.hypot(b);
        if !size.is_finite() || size < 1e-4 || 1.0 / size < f64::from(MIN_SCALE) {
            return None;
        }
        Some(Self { a, b, tx: to[0] - a * from[0] + b * from[1], ty: to[1] - b * from[0] - a * from[1] })
    }

    /// Returns the scale in template pixels per source pixel.
    pub fn size(&self) -> f64 {
        self.a.hypot(self.b)
    }

    /// Returns a transform with the same rotation but scale `size` (target pixels per source pixel), which maps the
    /// point `from` to `to`.
    pub(crate) fn upright(&self, size: f64, from: [f64; 2], to: [f64; 2]) -> Self {
        let factor = size / self.size();
        let (a, b) = (self.a * factor, self.b * factor);
        Self { a, b, tx: to[0] - a * from[0] + b * from[1], ty: to[1] - b * from[0] - a * from[1] }
    }

    /// Maps a point of the source to the target.
    pub fn apply(&self, [x, y]: [f32; 2]) -> [f32; 2] {
        let (x, y) = (f64::from(x), f64::from(y));
        [(self.a * x - self.b * y + self.tx) as f32, (self.b * x + self.a * y + self.ty) as f32]
    }

    fn inverse(&self) -> Self {
        let square = self.a * self.a + self.b * self.b;
        let (a, b) = (self.a / square, -self.b / square);
        Self { a, b, tx: -a * self.tx + b * self.ty, ty: -b * self.tx - a * self.ty }
    }
}

/// Returns the scale of a face in source pixels per template pixel. Below 1 the crop is magnified, so a larger decode
/// would show more. It is infinite for degenerate landmarks, for which no decode helps.
pub fn scale(landmarks: &Landmarks) -> f32 {
    Similarity::to_template(landmarks).map_or(f32::INFINITY, |map| (1.0 / map.size()) as f32)
}

/// Warps a face to the template by bilinear sampling; outside of the image it is black, as in OpenCV's `warpAffine`.
/// `None` for degenerate landmarks.
///
/// Large faces are sampled without a low-pass filter on purpose, because the embedders were trained on such crops and
/// are used with them. With a low-pass, SFace's embedding of a face four or more times as large as the template has
/// cosine 0.957 to the reference, and separates people no better.
pub fn to_template(pixels: &Pixels, landmarks: &Landmarks) -> Option<Pixels> {
    warp(pixels, &Similarity::to_template(landmarks)?, SIDE)
}

/// Samples the `side` × `side` picture to which `map` leads, bilinearly; outside of the image it is black. `None` for
/// pixels whose data does not fit their size.
pub(crate) fn warp(pixels: &Pixels, map: &Similarity, side: u32) -> Option<Pixels> {
    let map = map.inverse();
    let (width, height) = (pixels.width as usize, pixels.height as usize);
    let (source, _) = pixels.data.as_chunks::<3>();
    if width == 0 || height == 0 || source.len() != width * height {
        return None;
    }
    let mut data = vec![0; (side * side * 3) as usize];
    let (out, _) = data.as_chunks_mut::<3>();
    for (index, pixel) in out.iter_mut().enumerate() {
        let (u, v) = ((index % side as usize) as f64, (index / side as usize) as f64);
        let (x, y) = (map.a * u - map.b * v + map.tx, map.b * u + map.a * v + map.ty);
        if x > -1.0 && y > -1.0 && x < width as f64 && y < height as f64 {
            *pixel = sample(source, width, height, x, y);
        }
    }
    Some(Pixels { width: side, height: side, data })
}

fn sample(source: &[[u8; 3]], width: usize, height: usize, x: f64, y: f64) -> [u8; 3] {
    let (left, top) = (x.floor(), y.floor());
    let (fx, fy) = ((x - left) as f32, (y - top) as f32);
    let (left, top) = (left as isize, top as isize);
    let at = |x: isize, y: isize| match (usize::try_from(x), usize::try_from(y)) {
        (Ok(x), Ok(y)) if x < width && y < height => source[y * width + x].map(f32::from),
        _ => [0.0; 3],
    };
    let [nw, ne, sw, se] = [at(left, top), at(left + 1, top), at(left, top + 1), at(left + 1, top + 1)];
    std::array::from_fn(|c| {
        let north = nw[c] + (ne[c] - nw[c]) * fx;
        let south = sw[c] + (se[c] - sw[c]) * fx;
        (north + (south - north) * fy).round() as u8
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The template turned by `degrees`, `zoom` times as large, moved by (`x`, `y`).
    fn placed(degrees: f32, zoom: f32, x: f32, y: f32) -> Landmarks {
        let (sin, cos) = degrees.to_radians().sin_cos();
        TEMPLATE.map(|[u, v]| [zoom * (cos * u - sin * v) + x, zoom * (sin * u + cos * v) + y])
    }

    #[test]
    fn any_similarity_is_undone() {
        for (degrees, zoom, x, y) in [(0.0, 1.0, 0.0, 0.0), (30.0, 2.5, 40.0, -7.0), (-170.0, 0.3, 900.0, 12.0)] {
            let landmarks = placed(degrees, zoom, x, y);
            assert!((scale(&landmarks) - zoom).abs() < 1e-3 * zoom);
            let map = Similarity::to_template(&landmarks).unwrap();
            for (point, want) in landmarks.iter().zip(TEMPLATE) {
                let got = map.apply(*point);
                assert!((got[0] - want[0]).abs() < 0.01 && (got[1] - want[1]).abs() < 0.01, "{got:?} {want:?}");
            }
        }
    }

    #[test]
    fn an_aligned_image_comes_back_unchanged() {
        let data: Vec<u8> = (0..112 * 112 * 3u32).map(|i| (i * 7 % 251) as u8).collect();
        let pixels = Pixels { width: 112, height: 112, data };
        assert_eq!(to_template(&pixels, &TEMPLATE).unwrap(), pixels);
    }

    #[test]
    fn what_lies_outside_the_image_is_black() {
        let white = Pixels { width: 112, height: 112, data: vec![255; 112 * 112 * 3] };
        let crop = to_template(&white, &placed(0.0, 1.0, 56.0, 0.0)).unwrap();
        assert_eq!(crop.data[..3], [255; 3]);
        assert_eq!(crop.data[333..336], [0; 3]);
    }

    #[test]
    fn degenerate_landmarks_have_no_crop() {
        let pixels = Pixels { width: 8, height: 8, data: vec![9; 192] };
        for landmarks in [[[3.0, 3.0]; 5], [[f32::NAN, 0.0]; 5], [[f32::INFINITY, 0.0]; 5]] {
            assert!(to_template(&pixels, &landmarks).is_none());
            assert_eq!(scale(&landmarks), f32::INFINITY);
        }
        let short = Pixels { width: 8, height: 8, data: vec![9; 7] };
        assert!(to_template(&short, &TEMPLATE).is_none());
    }
}
