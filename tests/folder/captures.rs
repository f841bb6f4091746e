//! How photos came about: when they were taken and which are copies, as `muster export` says it.

use crate::support;

use std::path::Path;

use serde_json::Value;
use support::{export, index, muster, photos, run};
use turbojpeg::{Compressor, Decompressor, Image, PixelFormat, ScalingFactor, Subsamp};

/// A TIFF structure whose EXIF directory says `2020:07:06 10:10:10`, 123 milliseconds, two hours
/// ahead of UTC.
fn exif() -> Vec<u8> {
    let entry = |tag: u16, kind: u16, count: u32, value: [u8; 4]| {
        [&tag.to_le_bytes()[..], &kind.to_le_bytes(), &count.to_le_bytes(), &value].concat()
    };
    let mut tiff = b"II*\0\x08\0\0\0\x01\0".to_vec();
    tiff.extend(entry(0x8769, 4, 1, 26u32.to_le_bytes()));
    tiff.extend([0; 4]);
    tiff.extend(3u16.to_le_bytes());
    // What is longer than four bytes lies behind the directory, which ends at 26 + 2 + 3 * 12 + 4.
    tiff.extend(entry(0x9003, 2, 20, 68u32.to_le_bytes()));
    tiff.extend(entry(0x9011, 2, 7, 88u32.to_le_bytes()));
    tiff.extend(entry(0x9291, 2, 4, *b"123\0"));
    tiff.extend([0; 4]);
    [&tiff[..], b"2020:07:06 10:10:10\0", b"+02:00\0"].concat()
}

/// The photo with this EXIF block.
fn with_exif(jpeg: &[u8], tiff: &[u8]) -> Vec<u8> {
    let length = u16::try_from(tiff.len() + 8).unwrap().to_be_bytes();
    [&jpeg[..2], &[0xFF, 0xE1], &length, b"Exif\0\0", tiff, &jpeg[2..]].concat()
}

/// The photo at half its size, encoded poorly.
fn halved(jpeg: &[u8]) -> Vec<u8> {
    let mut decompressor = Decompressor::new().unwrap();
    let header = decompressor.read_header(jpeg).unwrap();
    decompressor.set_scaling_factor(ScalingFactor::ONE_HALF).unwrap();
    let scaled = header.scaled(ScalingFactor::ONE_HALF);
    let pitch = scaled.width * 3;
    let mut pixels = vec![0; pitch * scaled.height];
    let (width, height, format) = (scaled.width, scaled.height, PixelFormat::RGB);
    decompressor.decompress(jpeg, Image { pixels: &mut pixels[..], width, pitch, height, format }).unwrap();
    let mut compressor = Compressor::new().unwrap();
    compressor.set_quality(60).unwrap();
    compressor.set_subsamp(Subsamp::Sub2x2).unwrap();
    compressor.compress_to_vec(Image { pixels: &pixels[..], width, pitch, height, format }).unwrap()
}

/// A portrait of each person of `demo`.
const PORTRAIT: &str = "studio_portrait.jpg";

/// A field of a photo that an export lists.
fn of(exported: &Value, path: &str, field: &str) -> Value {
    let images = exported["images"].as_array().unwrap();
    images.iter().find(|image| image["path"].as_str().unwrap().ends_with(path)).unwrap()[field].clone()
}

/// Path, time and original in each line of `muster export --csv`.
fn lines(library: &Path) -> Vec<[String; 3]> {
    let table = run(muster().args(["export", "--csv", "--library"]).arg(library), 0).stdout;
    let mut table = csv::Reader::from_reader(&table[..]);
    let columns = table.headers().unwrap().clone();
    let column = |name: &str| columns.iter().position(|column| column == name).unwrap();
    let places = [column("path"), column("taken"), column("copy_of")];
    table.records().map(|line| places.map(|place| line.as_ref().unwrap()[place].to_owned())).collect()
}

#[test]
fn an_export_says_when_photos_were_taken_and_which_are_copies() {
    let folder = tempfile::tempdir().unwrap();
    let (pictures, library) = (folder.path().join("pictures"), folder.path().join("library"));
    std::fs::create_dir(&pictures).unwrap();
    let [first, second] =
        ["P001", "P002"].map(|person| std::fs::read(photos("demo").join(person).join(PORTRAIT)).unwrap());
    for (name, bytes) in [
        ("a-small.jpg", halved(&first)),
        ("IMG_20200706_101010.jpg", second.clone()),
        ("IMG-20200706-WA0001.jpg", halved(&second)),
        ("original.jpg", with_exif(&first, &exif())),
    ] {
        std::fs::write(pictures.join(name), bytes).unwrap();
    }
    index(&pictures, &library);
    let exported: Value = serde_json::from_slice(&export(&library)).unwrap();
    let ends_with = |value: Value, end: &str| value.as_str().is_some_and(|path| path.ends_with(end));
    assert_eq!(of(&exported, "original.jpg", "taken"), "2020-07-06T10:10:10.123+02:00");
    assert_eq!(of(&exported, "IMG_20200706_101010.jpg", "taken"), "2020-07-06T10:10:10");
    for name in ["a-small.jpg", "IMG-20200706-WA0001.jpg"] {
        assert!(of(&exported, name, "taken").is_null(), "{name}");
    }
    for name in ["original.jpg", "IMG_20200706_101010.jpg"] {
        assert!(of(&exported, name, "copy_of").is_null(), "{name}");
    }
    assert!(ends_with(of(&exported, "a-small.jpg", "copy_of"), "original.jpg"), "{exported:#}");
    assert!(ends_with(of(&exported, "WA0001.jpg", "copy_of"), "IMG_20200706_101010.jpg"), "{exported:#}");

    let lines = lines(&library);
    assert!(lines.len() >= 4, "{lines:?}");
    for [path, taken, copy_of] in lines {
        let expected = |field| of(&exported, &path, field).as_str().unwrap_or_default().to_owned();
        assert_eq!((taken, copy_of), (expected("taken"), expected("copy_of")), "{path}");
    }
    let page = std::fs::read_to_string(library.join("people.html")).unwrap();
    let marked = page.matches(">copy</span>").count();
    let faces = exported["faces"].as_array().unwrap().iter();
    let of_copies = faces.filter(|face| {
        let path = face["path"].as_str().unwrap();
        face["is_face"] == true && !of(&exported, path, "copy_of").is_null()
    });
    assert_eq!(marked, of_copies.count(), "the page marks the faces of copies");
    // Another run looks at nothing again, and says the same.
    let before = export(&library);
    index(&pictures, &library);
    assert!(export(&library) == before);
}
