//! Every format, orientation, colour kind and limit, on small images made here.

use std::io::Cursor;

use image::codecs::{png::PngEncoder, webp::WebPEncoder};
use image::{ExtendedColorType, ImageEncoder};
use rand::{Rng, RngCore, SeedableRng};

use super::*;

mod region;
mod taken;

/// A picture whose quarters are red, green, blue and white: any turn shows.
fn quarters(width: u32, height: u32) -> Pixels {
    let colour = |x: u32, y: u32| match (x < width / 2, y < height / 2) {
        (true, true) => [230, 20, 20],
        (false, true) => [20, 200, 20],
        (true, false) => [20, 20, 230],
        (false, false) => [250, 250, 250],
    };
    let data = (0..width * height).flat_map(|i| colour(i % width, i / width)).collect();
    Pixels { width, height, data }
}

fn image_of(pixels: &[u8], width: u32, height: u32, format: turbojpeg::PixelFormat) -> turbojpeg::Image<&[u8]> {
    let (width, height) = (width as usize, height as usize);
    turbojpeg::Image { pixels, width, pitch: width * format.size(), height, format }
}

fn jpeg_of(pixels: &Pixels) -> Vec<u8> {
    let image = image_of(&pixels.data, pixels.width, pixels.height, turbojpeg::PixelFormat::RGB);
    turbojpeg::compress(image, 95, turbojpeg::Subsamp::Sub2x2).unwrap().to_vec()
}

fn png_of(data: &[u8], width: u32, height: u32, kind: ExtendedColorType) -> Vec<u8> {
    let mut out = Vec::new();
    PngEncoder::new(&mut out).write_image(data, width, height, kind).unwrap();
    out
}

/// A TIFF structure with an orientation, and a thumbnail where one is given.
fn exif_block(orientation: u16, thumbnail: &[u8]) -> Vec<u8> {
    let mut tiff = b"II*\0\x08\0\0\0".to_vec();
    let entry = |tag: u16, kind: u16, value: u32| {
        [&tag.to_le_bytes()[..], &kind.to_le_bytes(), &1u32.to_le_bytes(), &value.to_le_bytes()].concat()
    };
    tiff.extend(1u16.to_le_bytes());
    tiff.extend(entry(0x0112, 3, u32::from(orientation)));
    let second = if thumbnail.is_empty() { 0 } else { tiff.len() as u32 + 4 };
    tiff.extend(second.to_le_bytes());
    if second > 0 {
        let start = tiff.len() as u32 + 2 + 24 + 4;
        tiff.extend(2u16.to_le_bytes());
        tiff.extend(entry(0x0201, 4, start));
        tiff.extend(entry(0x0202, 4, thumbnail.len() as u32));
        tiff.extend(0u32.to_le_bytes());
        tiff.extend(thumbnail);
    }
    tiff
}

/// Puts an EXIF segment behind a JPEG's first marker.
fn with_exif(jpeg: &[u8], tiff: &[u8]) -> Vec<u8> {
    let length = u16::try_from(tiff.len() + 8).unwrap().to_be_bytes();
    [&jpeg[..2], &[0xFF, 0xE1], &length, b"Exif\0\0", tiff, &jpeg[2..]].concat()
}

fn decoder(side: u32) -> VisionDecoder {
    VisionDecoder { limits: Limits::default(), side }
}

fn frame(bytes: Vec<u8>, side: u32) -> Frame {
    decoder(side).decode(bytes.into()).unwrap()
}

fn reason(bytes: Vec<u8>) -> RejectReason {
    decoder(64).decode(bytes.into()).unwrap_err().reason
}

/// The colour in the middle of each quarter, rounded to letters: r, g, b, w.
fn letters(pixels: &Pixels) -> String {
    let at = |x: u32, y: u32| {
        let start = ((y * pixels.width + x) * 3) as usize;
        match [pixels.data[start], pixels.data[start + 1], pixels.data[start + 2]].map(|v| v > 128) {
            [true, false, false] => 'r',
            [false, true, false] => 'g',
            [false, false, true] => 'b',
            [true, true, true] => 'w',
            _ => '?',
        }
    };
    let (w, h) = (pixels.width, pixels.height);
    [at(w / 4, h / 4), at(3 * w / 4, h / 4), at(w / 4, 3 * h / 4), at(3 * w / 4, 3 * h / 4)].iter().collect()
}

const UPRIGHT: [(u8, &str); 8] =
    [(1, "rgbw"), (2, "grwb"), (3, "wbgr"), (4, "bwrg"), (5, "rbgw"), (6, "brwg"), (7, "wgbr"), (8, "gwrb")];

#[test]
fn a_jpeg_of_every_orientation_is_turned_upright_at_every_scale() {
    let jpeg = jpeg_of(&quarters(400, 240));
    for (orientation, want) in UPRIGHT {
        let bytes = with_exif(&jpeg, &exif_block(u16::from(orientation), &[]));
        let (width, height) = if orientation >= 5 { (240, 400) } else { (400, 240) };
        for (side, denominator) in [(1000, 1), (400, 1), (201, 1), (200, 2), (100, 4), (50, 8), (1, 8)] {
            let frame = frame(bytes.clone(), side);
            assert_eq!((frame.width, frame.height, frame.orientation), (width, height, orientation));
            assert_eq!((frame.pixels.width, frame.pixels.height), (width / denominator, height / denominator));
            assert_eq!(letters(&frame.pixels), want, "orientation {orientation}, side {side}");
        }
    }
}

#[test]
fn grey_and_cmyk_jpegs_become_rgb() {
    let pixels = quarters(160, 96);
    let image = image_of(&pixels.data, 160, 96, turbojpeg::PixelFormat::RGB);
    let grey = turbojpeg::compress(image, 95, turbojpeg::Subsamp::Gray).unwrap().to_vec();
    let frame_of_grey = frame(grey, 160);
    assert!(frame_of_grey.pixels.data.chunks(3).all(|p| p[0] == p[1] && p[1] == p[2]));
    // As Adobe writes it: 255 is no ink.
    let cmyk: Vec<u8> = pixels.data.chunks(3).flat_map(|p| [p[0], p[1], p[2], 255]).collect();
    let image = image_of(&cmyk, 160, 96, turbojpeg::PixelFormat::CMYK);
    let ycck = turbojpeg::compress(image, 95, turbojpeg::Subsamp::Sub2x2).unwrap().to_vec();
    for side in [160, 80, 20] {
        assert_eq!(letters(&frame(ycck.clone(), side).pixels), "rgbw");
    }
}

#[test]
fn progressive_jpegs_decode_and_scan_bombs_do_not() {
    let mut compressor = turbojpeg::Compressor::new().unwrap();
    compressor.set_progressive(true).unwrap();
    let pixels = quarters(160, 96);
    let image = image_of(&pixels.data, 160, 96, turbojpeg::PixelFormat::RGB);
    let jpeg = compressor.compress_to_vec(image).unwrap();
    assert_eq!(letters(&frame(jpeg.clone(), 40).pixels), "rgbw");
    // The last scan again and again.
    let start = jpeg.windows(2).rposition(|w| w == [0xFF, 0xDA]).unwrap();
    let (head, scan) = (&jpeg[..jpeg.len() - 2], &jpeg[start..jpeg.len() - 2]);
    let bomb = [head, &scan.repeat(2000), &[0xFF, 0xD9]].concat();
    assert_eq!(reason(bomb), RejectReason::Corrupt);
}

#[test]
fn every_png_kind_becomes_rgb_over_white() {
    let wide = |v: &[u16]| v.iter().flat_map(|v| v.to_ne_bytes()).collect::<Vec<u8>>();
    let table: [(&str, Vec<u8>, ExtendedColorType, [u8; 3]); 8] = [
        ("grey", vec![77], ExtendedColorType::L8, [77; 3]),
        ("grey, half clear", vec![0, 128], ExtendedColorType::La8, [127; 3]),
        ("colour", vec![1, 2, 3], ExtendedColorType::Rgb8, [1, 2, 3]),
        ("colour, clear", vec![1, 2, 3, 0], ExtendedColorType::Rgba8, [255; 3]),
        ("16-bit grey", wide(&[0x1234]), ExtendedColorType::L16, [0x12; 3]),
        ("16-bit grey, solid", wide(&[0x1234, 0xFFFF]), ExtendedColorType::La16, [0x12; 3]),
        ("16-bit colour", wide(&[0x1111, 0x8080, 0xFFFF]), ExtendedColorType::Rgb16, [0x11, 0x80, 0xFF]),
        ("16-bit colour, clear", wide(&[0, 0, 0, 0]), ExtendedColorType::Rgba16, [255; 3]),
    ];
    for (name, pixel, kind, want) in table {
        let frame = frame(png_of(&pixel.repeat(12), 4, 3, kind), 64);
        assert_eq!((frame.width, frame.height, frame.pixels.width), (4, 3, 4), "{name}");
        assert!(frame.pixels.data.chunks(3).all(|p| p == want), "{name}: {:?}", &frame.pixels.data[..3]);
    }
}

/// A chunk of a PNG with its checksum.
fn chunk(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
    let mut crc = u32::MAX;
    for &byte in kind.iter().chain(body) {
        crc ^= u32::from(byte);
        (0..8).for_each(|_| crc = if crc & 1 == 1 { 0xEDB8_8320 ^ (crc >> 1) } else { crc >> 1 });
    }
    [&(body.len() as u32).to_be_bytes()[..], kind, body, &(!crc).to_be_bytes()].concat()
}

fn png_header(width: u32, height: u32, depth: u8, colour: u8) -> Vec<u8> {
    let body = [&width.to_be_bytes()[..], &height.to_be_bytes(), &[depth, colour, 0, 0, 0]].concat();
    [b"\x89PNG\r\n\x1a\n".to_vec(), chunk(b"IHDR", &body)].concat()
}

#[test]
fn a_palette_with_transparency_becomes_rgb_over_white() {
    // One row of two pixels, stored uncompressed: filter 0, indices 0 and 1.
    let data = [0x78, 0x01, 0x01, 0x03, 0x00, 0xFC, 0xFF, 0x00, 0x00, 0x01, 0x00, 0x05, 0x00, 0x02];
    let png = [
        png_header(2, 1, 8, 3),
        chunk(b"PLTE", &[10, 20, 30, 40, 50, 60]),
        chunk(b"tRNS", &[255, 0]),
        chunk(b"IDAT", &data),
        chunk(b"IEND", &[]),
    ]
    .concat();
    assert_eq!(frame(png, 64).pixels.data, [10, 20, 30, 255, 255, 255]);
}

#[test]
fn the_orientation_of_a_png_and_a_webp_is_applied() {
    let pixels = quarters(40, 24);
    let png = png_of(&pixels.data, 40, 24, ExtendedColorType::Rgb8);
    let mut lossless = Vec::new();
    WebPEncoder::new_lossless(&mut lossless).write_image(&pixels.data, 40, 24, ExtendedColorType::Rgb8).unwrap();
    assert_eq!(letters(&frame(lossless.clone(), 64).pixels), "rgbw");
    for (orientation, want) in UPRIGHT {
        let block = exif_block(u16::from(orientation), &[]);
        let turned = [&png[..33], &chunk(b"eXIf", &block), &png[33..]].concat();
        assert_eq!(letters(&frame(turned, 64).pixels), want, "PNG {orientation}");
        let mut webp = Vec::new();
        let mut encoder = WebPEncoder::new_lossless(Cursor::new(&mut webp));
        encoder.set_exif_metadata(block).unwrap();
        encoder.write_image(&pixels.data, 40, 24, ExtendedColorType::Rgb8).unwrap();
        let frame = frame(webp, 64);
        assert_eq!(letters(&frame.pixels), want, "WebP {orientation}");
        assert_eq!(frame.width == 24, orientation >= 5);
    }
}

#[test]
fn a_cut_jpeg_is_truncated_at_every_length() {
    let jpeg = with_exif(&jpeg_of(&quarters(96, 64)), &exif_block(3, &[]));
    for length in 4..jpeg.len() {
        assert_eq!(reason(jpeg[..length].to_vec()), RejectReason::Truncated, "{length} of {}", jpeg.len());
    }
    // Bytes behind the end belong to nobody and are ignored.
    let longer = [jpeg, b"maker's notes".to_vec()].concat();
    assert_eq!(frame(longer, 64).orientation, 3);
}

#[test]
fn a_cut_png_or_webp_is_rejected_at_every_length() {
    let pixels = quarters(32, 24);
    let png = png_of(&pixels.data, 32, 24, ExtendedColorType::Rgb8);
    let mut webp = Vec::new();
    WebPEncoder::new_lossless(&mut webp).write_image(&pixels.data, 32, 24, ExtendedColorType::Rgb8).unwrap();
    // The end chunk of a PNG holds nothing: without it the picture is whole.
    for bytes in [&png[..png.len() - 12], &webp] {
        for length in 12..bytes.len() - 4 {
            let reason = reason(bytes[..length].to_vec());
            assert!(matches!(reason, RejectReason::Truncated | RejectReason::Corrupt), "{length}: {reason:?}");
        }
    }
}

#[test]
fn what_is_no_image_says_so() {
    for (bytes, want) in [
        (Vec::new(), RejectReason::Empty),
        (b"Dear diary, this is called portrait.jpg".to_vec(), RejectReason::UnknownFormat),
        (vec![0; 4096], RejectReason::UnknownFormat),
        (b"GIF89a".to_vec(), RejectReason::UnknownFormat),
        (vec![0xFF, 0xD8, 0xFF], RejectReason::Truncated),
        // A segment whose length does not even hold the length itself.
        (b"\xFF\xD8\xFF\xE0\x00\x01rubbish that goes on and on".to_vec(), RejectReason::Corrupt),
    ] {
        assert_eq!(reason(bytes.clone()), want, "{bytes:?}");
    }
}

#[test]
fn limits_are_checked_before_pixels_are_allocated() {
    // 10.8 GB of pixels: allocating them would abort the test.
    let bomb = [png_header(60_000, 60_000, 8, 2), chunk(b"IDAT", &[0x78, 0x01])].concat();
    assert_eq!(reason(bomb), RejectReason::TooManyPixels);
    let mut jpeg = jpeg_of(&quarters(16, 16));
    let frame_header = jpeg.windows(2).position(|w| w == [0xFF, 0xC0]).unwrap();
    jpeg[frame_header + 5..frame_header + 9].copy_from_slice(&[0xEA, 0x60, 0xEA, 0x60]);
    assert_eq!(reason(jpeg), RejectReason::TooManyPixels);
    let small = VisionDecoder { limits: Limits { bytes: 100, pixels: 100 }, side: 64 };
    let error = small.decode(jpeg_of(&quarters(16, 16)).into()).unwrap_err();
    assert_eq!(error.reason, RejectReason::TooManyBytes);
    let small = VisionDecoder { limits: Limits { bytes: 10_000, pixels: 255 }, side: 64 };
    for bytes in [jpeg_of(&quarters(16, 16)), png_of(&[9; 256], 16, 16, ExtendedColorType::L8)] {
        assert_eq!(small.decode(bytes.into()).unwrap_err().reason, RejectReason::TooManyPixels);
    }
}

#[test]
fn damaged_and_random_bytes_never_panic() {
    let seed = rand::rng().next_u64();
    println!("seed {seed}");
    let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
    let pixels = quarters(48, 40);
    let jpeg = with_exif(&jpeg_of(&pixels), &exif_block(7, &jpeg_of(&quarters(32, 32))));
    let mut webp = Vec::new();
    WebPEncoder::new_lossless(&mut webp).write_image(&pixels.data, 48, 40, ExtendedColorType::Rgb8).unwrap();
    let heic = include_bytes!("../../../../tests/fixtures/quarters.heic").to_vec();
    let seeds = [jpeg, png_of(&pixels.data, 48, 40, ExtendedColorType::Rgb8), webp, heic];
    let limits = Limits { bytes: 1 << 20, pixels: 1 << 20 };
    for round in 0..600 {
        let mut bytes = seeds[round % seeds.len()].clone();
        for _ in 0..random.random_range(1..12) {
            let at = random.random_range(0..bytes.len());
            bytes[at] = random.random();
        }
        bytes.truncate(random.random_range(bytes.len() / 2..=bytes.len()));
        let decoder = VisionDecoder { limits, side: random.random_range(1..100) };
        decoder.judge_header(&bytes);
        if let Ok(frame) = decoder.decode(bytes.into()) {
            assert_eq!(frame.pixels.data.len(), (frame.pixels.width * frame.pixels.height * 3) as usize);
            let around = BBox { x: 3.0, y: 5.0, width: 20.0, height: 20.0 };
            let _ = closer_region(&frame, random.random(), &around);
        }
        let mut noise = vec![0; random.random_range(0..200)];
        random.fill_bytes(&mut noise);
        assert!(decoder.decode(noise.into()).is_err());
    }
}

#[test]
fn a_heic_decodes_where_libheif_is_installed_and_names_the_package_where_not() {
    let bytes = include_bytes!("../../../../tests/fixtures/quarters.heic");
    let header = probe(bytes, &Limits::default()).unwrap();
    // Stored as one 64 x 64 tile, of which the clean aperture (`clap`) shows 64 x 48.
    assert_eq!((header.format, header.width, header.height), (Format::Heif, 64, 64));
    match decoder(64).decode(Bytes::from_static(bytes)) {
        Ok(frame) => {
            assert_eq!((frame.width, frame.height, frame.orientation), (64, 48, 1));
            assert_eq!(letters(&frame.pixels), "rgbw");
        }
        Err(rejection) => {
            assert_eq!(rejection.reason, RejectReason::DecoderMissing);
            assert!(rejection.detail.contains("libheif"), "{rejection}");
        }
    }
    let cut = Bytes::from_static(&bytes[..40]);
    assert_eq!(decoder(64).decode(cut).unwrap_err().reason, RejectReason::Truncated);
}

#[test]
fn an_image_is_judged_by_the_thumbnail_in_its_header_or_by_one_of_its_own() {
    let photo = jpeg_of(&quarters(64, 64));
    assert_eq!(decoder(64).judge_header(&photo), None, "no thumbnail");
    let large = jpeg_of(&quarters(1200, 1000));
    for bytes in [&b"no image"[..], b"", &photo[..100], &large] {
        assert_eq!((decoder(64).judge_header(bytes), decoder(64).judge_thumbnail(bytes)), (None, None));
    }
    let checks: Vec<u8> =
        (0..160 * 120u32).flat_map(|i| [if (i % 160 / 4 + i / 640) % 2 == 0 { 60 } else { 190 }; 3]).collect();
    let thumbnail = |data: Vec<u8>| jpeg_of(&Pixels { width: 160, height: 120, data });
    let judged = |thumbnail: Vec<u8>| {
        let head = with_exif(&photo, &exif_block(1, &thumbnail));
        // A ranged read ends anywhere behind the EXIF block.
        let within = decoder(64).judge_header(&head[..head.len() - 200]).unwrap();
        assert_eq!(decoder(64).judge_thumbnail(&thumbnail), Some(within));
        within
    };
    let good = judged(thumbnail(checks.clone()));
    let dark = judged(thumbnail(checks.iter().map(|v| v / 20).collect()));
    let flat = judged(thumbnail(vec![128; 160 * 120 * 3]));
    assert!(good > 0.9, "{good}");
    assert!(dark < 0.3, "{dark}");
    assert!(flat < 0.1, "{flat}");
}
