//! Parts of an image, decoded again.

use super::*;

#[test]
fn a_closer_look_is_at_least_as_large_as_asked() {
    let bytes = with_exif(&jpeg_of(&quarters(400, 240)), &exif_block(6, &[]));
    let frame = frame(bytes, 50);
    assert_eq!(frame.pixels.height, 50);
    for (scale, height) in [(0.1, 50), (0.125, 50), (0.13, 100), (0.5, 200), (0.51, 400), (1.0, 400), (3.0, 400)] {
        let all = BBox { x: 0.0, y: 0.0, width: 240.0, height: 400.0 };
        let Region { pixels, .. } = closer_region(&frame, scale, &all).unwrap();
        assert_eq!(pixels.height, height, "scale {scale}");
        assert_eq!(letters(&pixels), "brwg");
    }
}

#[test]
fn a_region_is_cut_from_the_same_pixels_as_the_whole() {
    let mut noise = rand_chacha::ChaCha8Rng::seed_from_u64(3);
    let mut pixels = quarters(331, 257);
    for value in &mut pixels.data {
        *value = value.saturating_add(noise.random_range(0..20));
    }
    for sampling in [turbojpeg::Subsamp::Sub2x2, turbojpeg::Subsamp::None, turbojpeg::Subsamp::Sub2x1] {
        let image = image_of(&pixels.data, 331, 257, turbojpeg::PixelFormat::RGB);
        let jpeg = turbojpeg::compress(image, 95, sampling).unwrap().to_vec();
        for orientation in 1..=8u8 {
            let bytes = with_exif(&jpeg, &exif_block(u16::from(orientation), &[]));
            let small = frame(bytes.clone(), 50);
            for denominator in [1, 2, 4] {
                let Frame { pixels: whole, scale, .. } = frame(bytes.clone(), jpeg::scaled(331, denominator));
                assert_eq!(scale, 1.0 / denominator as f32, "exact, though 331 is no multiple of it");
                for (x, y, width, height) in
                    [(90.0, 60.0, 70.0, 80.0), (-20.0, -9.0, 50.0, 50.0), (200.0, 220.0, 900.0, 900.0)]
                {
                    let around = BBox { x, y, width, height };
                    let region = closer_region(&small, scale, &around).unwrap();
                    assert_eq!(region.scale, scale);
                    let wanted = clip(&around, scale, whole.width, whole.height);
                    let (left, top) = (wanted.x - region.x, wanted.y - region.y);
                    let inner = Rect { x: left, y: top, ..wanted };
                    let context = format!("orientation {orientation}, scale {scale}, {sampling:?}, {around:?}");
                    assert_eq!(crop(&region.pixels, inner), crop(&whole, wanted), "{context}");
                }
            }
        }
    }
}

#[test]
fn a_region_of_a_png_is_cut_from_the_whole() {
    let pixels = quarters(40, 30);
    let frame = frame(png_of(&pixels.data, 40, 30, ExtendedColorType::Rgb8), 10);
    let region = closer_region(&frame, 0.2, &BBox { x: 10.0, y: 5.0, width: 20.0, height: 10.0 }).unwrap();
    assert_eq!((region.x, region.y, region.scale), (10, 5, 1.0));
    assert_eq!(region.pixels, crop(&pixels, Rect { x: 10, y: 5, width: 20, height: 10 }));
    assert_eq!(region.local([12.0, 9.0]), [2.0, 4.0]);
}
