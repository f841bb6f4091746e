//! A perceptual hash of 64 bits, which is nearly the same for copies of a picture in another size
//! or encoding.

use std::f32::consts::PI;

use muster_actors::domain::capture::PictureHash;
use muster_actors::domain::image::Pixels;

/// Cells of the grid along a side.
const CELLS: usize = 32;
/// Frequencies along a side that are used, from the lowest.
const FREQUENCIES: usize = 8;
/// Rows and columns of pixels at which a cell is sampled, if it has as many.
const SAMPLES: usize = 20;
/// Smallest side of a picture that is hashed, in pixels.
const LEAST_SIDE: u32 = 64;
/// Amplitude, in grey levels of 255, that half of the waves of a picture with structure reach.
/// Below it, the noise of an encoder would change more bits than copies may differ in.
const LEAST_WAVE: f32 = 0.4;

/// Hashes upright pixels of any scale. Each bit says whether one of the lowest 8 × 8 frequencies of
/// the picture's luma lies above their median (the hash that is known as pHash). `None` for a
/// picture without structure, such as a plain wall, because most of its bits would be noise.
pub fn of(pixels: &Pixels) -> Option<PictureHash> {
    if pixels.width.min(pixels.height) < LEAST_SIDE {
        return None;
    }
    let waves = waves(&cells(pixels));
    // The first amplitude is the mean, so it is no wave.
    let mut sorted: Vec<f32> = waves.iter().skip(1).copied().collect();
    sorted.sort_unstable_by(f32::total_cmp);
    let median = sorted[sorted.len() / 2];
    let mut sizes: Vec<f32> = sorted.iter().map(|wave| wave.abs()).collect();
    sizes.sort_unstable_by(f32::total_cmp);
    if sizes[sizes.len() / 2] < LEAST_WAVE {
        return None;
    }
    Some(PictureHash(waves.iter().fold(0, |hash, wave| hash << 1 | u64::from(*wave > median))))
}

/// Computes the amplitudes, in grey levels, of the lowest frequencies of a grid: a discrete cosine
/// transform (type II), row by row.
fn waves(cells: &[[f32; CELLS]; CELLS]) -> [f32; FREQUENCIES * FREQUENCIES] {
    let wave = |frequency: usize, at: usize| (PI * frequency as f32 * (at as f32 + 0.5) / CELLS as f32).cos();
    let waves: [[f32; CELLS]; FREQUENCIES] = std::array::from_fn(|f| std::array::from_fn(|at| wave(f, at)));
    let along = |wave: &[f32; CELLS], values: &[f32; CELLS]| -> f32 {
        wave.iter().zip(values).map(|(wave, value)| wave * value).sum::<f32>() * 2.0 / CELLS as f32
    };
    let rows: [[f32; CELLS]; FREQUENCIES] =
        std::array::from_fn(|across| std::array::from_fn(|row| along(&waves[across], &cells[row])));
    std::array::from_fn(|n| along(&waves[n / FREQUENCIES], &rows[n % FREQUENCIES]))
}

/// Computes the mean luma, 0 to 255, of the cells of a grid over the whole picture.
fn cells(pixels: &Pixels) -> [[f32; CELLS]; CELLS] {
    let (width, height) = (pixels.width as usize, pixels.height as usize);
    let stride = |side: usize| (side / CELLS / SAMPLES).max(1);
    let (right, down) = (stride(width), stride(height));
    let edge = |n: usize, side: usize| n * side / CELLS;
    let mut cells = [[0.0; CELLS]; CELLS];
    for (y, row) in cells.iter_mut().enumerate() {
        let mut sums = [(0u32, 0u32); CELLS];
        for line in (edge(y, height)..edge(y + 1, height)).step_by(down) {
            let (line, _) = pixels.data[line * width * 3..(line + 1) * width * 3].as_chunks::<3>();
            for (x, (sum, count)) in sums.iter_mut().enumerate() {
                for &[r, g, b] in line[edge(x, width)..edge(x + 1, width)].iter().step_by(right) {
                    // The weights are those of ITU-R BT.601, in 256ths.
                    *sum += (77 * u32::from(r) + 150 * u32::from(g) + 29 * u32::from(b)) >> 8;
                    *count += 1;
                }
            }
        }
        for (cell, (sum, count)) in row.iter_mut().zip(sums) {
            *cell = sum as f32 / count.max(1) as f32;
        }
    }
    cells
}

#[cfg(test)]
mod tests {
    use image::RgbImage;
    use image::imageops::{FilterType, blur, crop_imm, resize};
    use rand::{Rng, SeedableRng};

    use super::*;

    /// Overlapping discs of any colour.
    fn picture(seed: u64, width: u32, height: u32) -> RgbImage {
        let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
        let mut image = RgbImage::from_pixel(width, height, image::Rgb(random.random()));
        for _ in 0..40 {
            let (x, y) = (random.random_range(0..width) as f32, random.random_range(0..height) as f32);
            let radius = random.random_range(0.05..0.4) * width as f32;
            let colour = image::Rgb(random.random::<[u8; 3]>());
            for (column, row, pixel) in image.enumerate_pixels_mut() {
                if (column as f32 - x).hypot(row as f32 - y) < radius {
                    *pixel = colour;
                }
            }
        }
        image
    }

    fn hash(image: &RgbImage) -> Option<PictureHash> {
        of(&Pixels { width: image.width(), height: image.height(), data: image.as_raw().clone() })
    }

    /// Encoded as a poor JPEG, and decoded at a fourth or more.
    fn recompressed(image: &RgbImage) -> Pixels {
        let (width, height) = (image.width() as usize, image.height() as usize);
        let pixels = &image.as_raw()[..];
        let source = turbojpeg::Image { pixels, width, pitch: width * 3, height, format: turbojpeg::PixelFormat::RGB };
        let jpeg = turbojpeg::compress(source, 40, turbojpeg::Subsamp::Sub2x2).unwrap().to_vec();
        let decoder = crate::decode::VisionDecoder { limits: crate::decode::Limits::default(), side: 100 };
        let frame = decoder.decode(jpeg.into()).unwrap();
        assert!(frame.scale < 1.0 && frame.picture == of(&frame.pixels));
        frame.pixels
    }

    #[test]
    fn copies_are_near_and_other_pictures_are_far() {
        let mut others: Vec<PictureHash> = Vec::new();
        for seed in 0..12 {
            let image = picture(seed, 480, 320);
            let first = hash(&image).unwrap();
            let half = resize(&image, 240, 160, FilterType::Triangle);
            let copies = [
                ("half", hash(&half)),
                ("a third, and stretched", hash(&resize(&image, 160, 108, FilterType::Lanczos3))),
                ("twice", hash(&resize(&image, 960, 640, FilterType::CatmullRom))),
                ("blurred", hash(&blur(&image, 3.0))),
                ("an edge cut off", hash(&crop_imm(&image, 2, 2, 476, 316).to_image())),
                ("recompressed", of(&recompressed(&image))),
                ("half, recompressed", of(&recompressed(&half))),
            ];
            for (copy, second) in copies {
                let distance = first.distance(second.unwrap());
                assert!(distance <= 6, "{seed}, {copy}: {distance}");
            }
            for other in others.iter().copied() {
                assert!(first.distance(other) > 12, "{seed}: {first} {other}");
            }
            others.push(first);
        }
    }

    #[test]
    fn a_picture_without_structure_has_no_hash() {
        let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(1);
        let noise = RgbImage::from_fn(320, 240, |_, _| image::Rgb([random.random_range(120..136); 3]));
        let ramp = RgbImage::from_fn(320, 240, |x, _| image::Rgb([(x / 2) as u8; 3]));
        let small = resize(&picture(1, 480, 320), 63, 80, FilterType::Triangle);
        for image in [RgbImage::new(320, 240), noise, ramp, small, RgbImage::new(0, 0)] {
            assert_eq!(hash(&image), None);
        }
        for (width, height) in [(64, 64), (65, 300), (1300, 66)] {
            assert!(hash(&resize(&picture(2, 480, 320), width, height, FilterType::Triangle)).is_some());
        }
    }
}
