//! When a photo was taken, out of each format's EXIF block.

use muster_actors::domain::capture::Taken;

use super::*;

/// Tags of the shot: time, part of its second, offset.
const TIME: u16 = 0x9003;
const PART: u16 = 0x9291;
const OFFSET: u16 = 0x9011;
/// The same of a scan.
const SCAN_TIME: u16 = 0x9004;
const SCAN_PART: u16 = 0x9292;
const SCAN_OFFSET: u16 = 0x9012;
/// When the file was changed.
const CHANGED: u16 = 0x0132;

/// A TIFF structure whose EXIF directory has these texts.
fn block(texts: &[(u16, &str)]) -> Vec<u8> {
    let mut texts = texts.to_vec();
    texts.sort_unstable();
    let entry = |tag: u16, kind: u16, count: usize, value: [u8; 4]| {
        [&tag.to_le_bytes()[..], &kind.to_le_bytes(), &(count as u32).to_le_bytes(), &value].concat()
    };
    let directory = 8 + 2 + 12 + 4;
    let mut tiff = b"II*\0\x08\0\0\0\x01\0".to_vec();
    tiff.extend(entry(0x8769, 4, 1, (directory as u32).to_le_bytes()));
    tiff.extend([0; 4]);
    tiff.extend((texts.len() as u16).to_le_bytes());
    let (mut behind, start) = (Vec::new(), directory + 2 + 12 * texts.len() + 4);
    for (tag, text) in texts {
        let text = [text.as_bytes(), b"\0"].concat();
        let mut value = ((start + behind.len()) as u32).to_le_bytes();
        match value.get_mut(..text.len()) {
            Some(inside) => inside.copy_from_slice(&text),
            None => behind.extend(&text),
        }
        tiff.extend(entry(tag, 2, text.len(), value));
    }
    tiff.extend([0; 4]);
    [tiff, behind].concat()
}

fn read(texts: &[(u16, &str)]) -> Option<String> {
    exif::taken(Some(&block(texts))).map(|taken| taken.to_string())
}

#[test]
fn the_time_of_the_shot_counts_else_that_of_the_scan() {
    let day = "2020:07:06 10:10:10";
    for (texts, expected) in [
        (vec![(TIME, day)], Some("2020-07-06T10:10:10")),
        (vec![(TIME, day), (PART, "5")], Some("2020-07-06T10:10:10.500")),
        (vec![(TIME, day), (PART, "05 ")], Some("2020-07-06T10:10:10.050")),
        (vec![(TIME, day), (PART, "123456")], Some("2020-07-06T10:10:10.123")),
        (vec![(TIME, day), (PART, "1.5"), (OFFSET, "+02:00")], Some("2020-07-06T10:10:10+02:00")),
        (vec![(TIME, day), (OFFSET, "-09:30")], Some("2020-07-06T10:10:10-09:30")),
        (vec![(TIME, day), (OFFSET, "+14:01")], Some("2020-07-06T10:10:10")),
        (vec![(TIME, day), (OFFSET, "Z")], Some("2020-07-06T10:10:10")),
        (vec![(TIME, day), (OFFSET, "+02:60")], Some("2020-07-06T10:10:10")),
        (vec![(TIME, day), (OFFSET, "+02:+0")], Some("2020-07-06T10:10:10")),
        (vec![(TIME, "2020-07-06T10:10:10")], Some("2020-07-06T10:10:10")),
        // The parts of another time do not count.
        (vec![(TIME, day), (SCAN_PART, "5"), (SCAN_OFFSET, "+02:00")], Some("2020-07-06T10:10:10")),
        (vec![(SCAN_TIME, day), (SCAN_PART, "5"), (SCAN_OFFSET, "+02:00")], Some("2020-07-06T10:10:10.500+02:00")),
        (vec![(TIME, "0000:00:00 00:00:00"), (SCAN_TIME, day)], Some("2020-07-06T10:10:10")),
        (vec![(CHANGED, day)], None),
        (vec![(TIME, "2020:07:06 00:00:00")], None),
        (vec![(TIME, "2020:07:06 00:00:00"), (PART, "7")], Some("2020-07-06T00:00:00.700")),
        (vec![(TIME, "    :  :     :  :  ")], None),
        (vec![(TIME, "0000:00:00 00:00:00")], None),
        (vec![(TIME, "2020:13:06 10:10:10")], None),
        (vec![(TIME, "1969:12:31 10:10:10")], None),
        (vec![(TIME, "2020:07:06")], None),
        (vec![(TIME, "2020:07:06 10:10:1")], None),
        (vec![(TIME, "2020:07:06 10:10:10 ")], Some("2020-07-06T10:10:10")),
        (vec![(TIME, "+020:07:06 10:10:10")], None),
        (vec![(TIME, "")], None),
        (vec![], None),
    ] {
        assert_eq!(read(&texts).as_deref(), expected, "{texts:?}");
    }
    assert_eq!(exif::taken(None), None);
    assert_eq!(exif::taken(Some(b"no TIFF structure")), None);
}

/// A box of an ISO base media file.
fn part(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
    [&(body.len() as u32 + 8).to_be_bytes()[..], kind, body].concat()
}

/// The head of a HEIC of 40 × 30 pixels with an EXIF block: in the file, or (method 1) among the
/// metadata.
fn heic(tiff: &[u8], version: u8, method: u8) -> Vec<u8> {
    let block = [&6u32.to_be_bytes()[..], b"Exif\0\0", tiff].concat();
    let kind = part(b"ftyp", b"heic\0\0\0\0mif1heic");
    let size = [[0; 4], 40u32.to_be_bytes(), 30u32.to_be_bytes()].concat();
    let properties = part(b"iprp", &part(b"ipco", &part(b"ispe", &size)));
    let info = |id: u8, kind: &[u8]| part(b"infe", &[&[2, 0, 0, 0, 0, id, 0, 0], kind, b"\0"].concat());
    let infos = part(b"iinf", &[&[0, 0, 0, 0, 0, 2][..], &info(1, b"hvc1"), &info(2, b"Exif")].concat());
    let meta = |offset: usize| {
        let wide = |number: usize| (number as u32).to_be_bytes().to_vec();
        // The first item has two extents, the second one.
        let construction: &[u8] = if version == 0 { &[] } else { &[0, method] };
        let id = |id: u8| if version == 2 { vec![0, 0, 0, id] } else { vec![0, id] };
        let mut places = vec![version, 0, 0, 0, 0x44, 0x00];
        places.extend(id(2));
        places.extend([id(1), construction.to_vec(), vec![0, 0, 0, 2]].concat());
        places.extend([wide(1), wide(2), wide(3), wide(4)].concat());
        places.extend([id(2), construction.to_vec(), vec![0, 0, 0, 1], wide(offset), wide(block.len())].concat());
        let places = part(b"iloc", &places);
        part(b"meta", &[&[0; 4][..], &properties, &infos, &places, &part(b"idat", &block)].concat())
    };
    let offset = if method == 1 { 0 } else { kind.len() + meta(0).len() + 8 };
    [kind, meta(offset), part(b"mdat", &block)].concat()
}

#[test]
fn every_format_says_when_it_was_taken() {
    let tiff = block(&[(TIME, "2020:07:06 10:10:10"), (PART, "123"), (OFFSET, "+02:00")]);
    let taken = Taken { local_ms: 1_594_030_210_123, offset_minutes: Some(120) };
    let pixels = quarters(40, 24);
    let png = png_of(&pixels.data, 40, 24, ExtendedColorType::Rgb8);
    let mut webp = Vec::new();
    let mut encoder = WebPEncoder::new_lossless(Cursor::new(&mut webp));
    encoder.set_exif_metadata([b"Exif\0\0", &tiff[..]].concat()).unwrap();
    encoder.write_image(&pixels.data, 40, 24, ExtendedColorType::Rgb8).unwrap();
    let jpeg = with_exif(&jpeg_of(&pixels), &tiff);
    let files = [jpeg, [&png[..33], &chunk(b"eXIf", &tiff), &png[33..]].concat(), webp];
    for file in files {
        assert_eq!(probe(&file, &Limits::default()).unwrap().taken, Some(taken));
        assert_eq!(frame(file, 64).taken, Some(taken));
    }
    for (version, method) in [(0, 0), (1, 0), (1, 1), (2, 0), (2, 1)] {
        let file = heic(&tiff, version, method);
        assert_eq!(probe(&file, &Limits::default()).unwrap().taken, Some(taken), "{version} {method}");
        for length in 0..file.len() {
            let _ = heif::exif(&file[..length]);
        }
    }
    assert_eq!(probe(&heic(&tiff, 1, 2), &Limits::default()).unwrap().taken, None);
    assert_eq!(probe(&png, &Limits::default()).unwrap().taken, None);
}

#[test]
fn places_in_a_damaged_heic_cost_nothing() {
    let file = heic(&block(&[(TIME, "2020:07:06 10:10:10")]), 2, 0);
    for at in 0..file.len() {
        for value in [0, 0x7F, 0xFF] {
            let mut damaged = file.clone();
            damaged[at] = value;
            let _ = heif::exif(&damaged);
        }
    }
}
