//! The same regions for muster and for ExifTool, in both directions.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use muster_xmp::{
    Orientation, PhotoNames, Region, Size, UprightBox, read_image, read_packet, write_image, write_sidecar,
};
use serde_json::{Value, json};

use crate::support::{jpeg, packet};

/// Stored photos are 400 × 240.
const STORED: Size = Size { width: 400, height: 240 };
const NAME: &str = "Zoë \"Z\" <&> O'Hara";

fn exiftool(arguments: &[&str], files: &[PathBuf]) -> String {
    let run = Command::new("exiftool").args(["-charset", "filename=utf8"]).args(arguments).args(files).output();
    let output = run.expect("exiftool is not installed: `make apt` installs Debian's libimage-exiftool-perl");
    assert!(output.status.success(), "exiftool {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// What ExifTool reads of each file's regions.
fn regions_by_exiftool(files: &[PathBuf]) -> Vec<Value> {
    let tags = ["-json", "-struct", "-n", "-XMP-mwg-rs:all", "-XMP-MP:all", "-XMP-iptcExt:PersonInImage"];
    serde_json::from_str(&exiftool(&tags, files)).unwrap()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

/// The face that ExifTool reads, by the list of each schema.
fn faces(read: &Value) -> [Region; 2] {
    let listed = &read["RegionInfo"]["RegionList"][0];
    assert_eq!((&listed["Name"], &listed["Type"]), (&json!(NAME), &json!("Face")), "{read}");
    let area = &listed["Area"];
    assert_eq!(area["Unit"], "normalized");
    let [x, y, w, h] = ["X", "Y", "W", "H"].map(|side| number(&area[side]));
    let windows = &read["RegionInfoMP"]["Regions"][0];
    assert_eq!(windows["PersonDisplayName"], NAME, "{read}");
    let sides: Vec<f64> =
        windows["Rectangle"].as_str().unwrap().split(", ").map(|side| side.parse().unwrap()).collect();
    assert_eq!(read["PersonInImage"], json!([NAME]));
    let size = &read["RegionInfo"]["AppliedToDimensions"];
    assert_eq!((number(&size["W"]), number(&size["H"]), &size["Unit"]), (400.0, 240.0, &json!("pixel")));
    let face = |x, y, w, h| crate::support::face(NAME, (x, y, w, h));
    [face(x, y, w, h), face(sides[0] + sides[2] / 2.0, sides[1] + sides[3] / 2.0, sides[2], sides[3])]
}

fn overlap(a: UprightBox, b: UprightBox) -> f64 {
    let size = Size { width: 1000, height: 1000 };
    let region = |face| Region::from_upright("Anna", face, size, Orientation::UPRIGHT).unwrap();
    region(a).overlap(&region(b))
}

/// A photo of each orientation in a folder, with its orientation in EXIF, and the face in its
/// upright image.
fn photos(folder: &Path) -> Vec<(PathBuf, Orientation, UprightBox)> {
    let photo = |value: u32| {
        let path = folder.join(format!("photo {value}.jpg"));
        fs::write(&path, jpeg(400, 240)).unwrap();
        exiftool(
            &["-q", "-overwrite_original", "-n", &format!("-IFD0:Orientation={value}")],
            std::slice::from_ref(&path),
        );
        let face = UprightBox { x: 31.25, y: 47.5, width: 60.0, height: 80.125 };
        (path, Orientation::from_exif(value), face)
    };
    (1..=8).map(photo).collect()
}

fn upright(orientation: Orientation) -> Size {
    // From stored to upright is the same exchange of sides as back.
    orientation.stored_size(STORED)
}

#[test]
fn exiftool_reads_the_regions_that_muster_writes_in_every_orientation() {
    let folder = tempfile::tempdir().unwrap();
    let mut written = Vec::new();
    for (path, orientation, face) in photos(folder.path()) {
        let region = Region::from_upright(NAME, face, upright(orientation), orientation).unwrap();
        let names = PhotoNames { stored: STORED, regions: &[region], formerly: &[] };
        let original = fs::read(&path).unwrap();
        let sidecar = path.with_extension("jpg.xmp");
        let shared = json!([{
            "SourceFile": "*", "XMP-dc:Title": "A title", "XMP-dc:Subject": ["one", "two"], "XMP-xmp:Rating": 4,
            "XMP-mwg-rs:RegionInfo": {
                "AppliedToDimensions": {"W": 400, "H": 240, "Unit": "pixel"},
                "RegionList": [{"Area": {"X": 0.9, "Y": 0.9, "W": 0.1, "H": 0.1, "Unit": "normalized"}, "Type": "BarCode"}],
            },
        }]);
        // A sidecar alone, one beside names in the photo, and names in the photo alone.
        fs::write(&sidecar, write_sidecar(None, &names).unwrap().unwrap()).unwrap();
        assert_eq!(fs::read(&path).unwrap(), original, "a sidecar leaves the photo as it is");
        let embedded = path.with_extension("embedded.jpg");
        let image = write_image(&original, &names).unwrap().unwrap();
        let scan = |bytes: &[u8]| bytes.windows(2).position(|pair| pair == [0xFF, 0xDB]).unwrap();
        assert_eq!(image[scan(&image)..], original[scan(&original)..], "the pixels stay as they are");
        fs::write(&embedded, &image).unwrap();
        let both = embedded.with_extension("jpg.xmp");
        let json = folder.path().join("shared.json");
        fs::write(&json, shared.to_string()).unwrap();
        exiftool(
            &["-q", &format!("-json={}", json.display()), "-o", both.to_str().unwrap()],
            std::slice::from_ref(&path),
        );
        let foreign = fs::read_to_string(&both).unwrap();
        let merged = String::from_utf8(write_sidecar(Some(foreign.as_bytes()), &names).unwrap().unwrap()).unwrap();
        assert_foreign_is_kept(&foreign, &merged);
        fs::write(&both, merged).unwrap();
        written.extend([(sidecar, orientation, face), (embedded, orientation, face), (both, orientation, face)]);
    }
    let files: Vec<_> = written.iter().map(|(path, ..)| path.clone()).collect();
    for ((path, orientation, face), mut read) in written.iter().zip(regions_by_exiftool(&files)) {
        let list = read["RegionInfo"]["RegionList"].as_array_mut().unwrap();
        list.retain(|region| region["Type"] != "BarCode");
        assert_eq!(list.len(), 1, "{}", path.display());
        for region in faces(&read) {
            let found = region.to_upright(upright(*orientation), *orientation);
            assert!(overlap(found, *face) >= 0.99, "{}: {found:?} is not {face:?}", path.display());
        }
    }
    assert_eq!(written.len(), 24);
    let check = exiftool(&["-validate", "-warning", "-error", "-q", "-s3"], &files[1..2]);
    assert!(!check.contains("XMP"), "{check}");
}

/// Each line that ExifTool wrote is there, in its order.
fn assert_foreign_is_kept(foreign: &str, merged: &str) {
    let mut rest = merged;
    for line in foreign.split_inclusive('\n') {
        let at = rest.find(line).unwrap_or_else(|| panic!("{line:?} is missing in {merged}"));
        rest = &rest[at + line.len()..];
    }
    assert!(foreign.contains("<dc:title>") && foreign.contains("BarCode"), "ExifTool has written nothing: {foreign}");
}

#[test]
fn muster_reads_the_regions_that_exiftool_writes_in_every_orientation() {
    let folder = tempfile::tempdir().unwrap();
    for (path, orientation, face) in photos(folder.path()) {
        let region = Region::from_upright(NAME, face, upright(orientation), orientation).unwrap();
        let area = json!({"X": region.x, "Y": region.y, "W": region.w, "H": region.h, "Unit": "normalized"});
        let (left, top) = (region.x - region.w / 2.0, region.y - region.h / 2.0);
        let rectangle = format!("{left}, {top}, {}, {}", region.w, region.h);
        let mwg = json!({
            "SourceFile": "*",
            "XMP-mwg-rs:RegionInfo": {
                "AppliedToDimensions": {"W": 400, "H": 240, "Unit": "pixel"},
                "RegionList": [{"Area": area, "Name": NAME, "Type": "Face"}],
            },
            "XMP-iptcExt:PersonInImage": [NAME, "Somebody else"],
        });
        let windows = json!({
            "SourceFile": "*",
            "XMP-MP:RegionInfoMP": {"Regions": [{"PersonDisplayName": NAME, "Rectangle": rectangle}]},
            "XMP-lr:HierarchicalSubject": ["People|Somebody else"],
        });
        for (tags, name) in [(mwg, "mwg"), (windows, "windows")] {
            let json = folder.path().join("tags.json");
            fs::write(&json, json!([tags]).to_string()).unwrap();
            let arguments = format!("-json={}", json.display());
            let mut sources = Vec::new();
            for extension in ["jpg", "xmp"] {
                let file = path.with_extension(format!("{name}.{extension}"));
                exiftool(&["-q", &arguments, "-o", file.to_str().unwrap()], std::slice::from_ref(&path));
                let bytes = fs::read(&file).unwrap();
                let found = if extension == "jpg" { read_image(&bytes) } else { read_packet(&bytes) };
                sources.push(found.unwrap());
            }
            for found in sources {
                let [region] = found.regions.as_slice() else { panic!("{found:?}") };
                assert_eq!(
                    (region.name.as_deref(), found.people.as_slice()),
                    (Some(NAME), &["Somebody else".to_owned()][..])
                );
                let read = region.to_upright(upright(orientation), orientation);
                assert!(overlap(read, face) >= 0.99, "{}: {read:?} is not {face:?}", path.display());
            }
        }
    }
}

#[test]
fn exiftool_finds_our_packets_in_pictures_and_we_find_its() {
    let folder = tempfile::tempdir().unwrap();
    let region = crate::support::face(NAME, (0.5, 0.5, 0.2, 0.2));
    let names = PhotoNames { stored: STORED, regions: std::slice::from_ref(&region), formerly: &[] };
    let pictures = [("photo.png", image::ImageFormat::Png), ("photo.webp", image::ImageFormat::WebP)];
    let mut files = Vec::new();
    for (name, format) in pictures {
        let path = folder.path().join(name);
        fs::write(&path, write_image(&crate::support::picture(format), &names).unwrap().unwrap()).unwrap();
        let validated = exiftool(&["-validate", "-warning", "-a", "-q", "-s3"], std::slice::from_ref(&path));
        assert!(validated.trim().is_empty() || validated.starts_with("OK"), "{name}: {validated}");
        files.push(path);
    }
    let read = regions_by_exiftool(&files);
    assert_eq!(read.len(), 2);
    for read in &read {
        assert!(faces(read).iter().all(|face| face.overlap(&region) > 0.99), "{read}");
    }
    // ExifTool adds a property and keeps the rest; the regions are ours still.
    exiftool(&["-q", "-overwrite_original", "-XMP-dc:Title=A title"], &files);
    for file in &files {
        let bytes = fs::read(file).unwrap();
        let found = read_image(&bytes).unwrap();
        assert!(found.regions.len() == 1 && found.regions[0].overlap(&region) > 0.99, "{found:?}");
        assert_eq!(write_image(&bytes, &names), Ok(None), "the same names change nothing");
    }
    // What ExifTool writes into a HEIC is read as well.
    let heic = folder.path().join("photo.heic");
    fs::write(&heic, include_bytes!("../../../../tests/fixtures/quarters.heic")).unwrap();
    exiftool(&["-q", "-overwrite_original", "-XMP-iptcExt:PersonInImage=Bo"], std::slice::from_ref(&heic));
    assert_eq!(read_image(&fs::read(&heic).unwrap()).unwrap().people, ["Bo"]);
    let extended = packet("<dc:note>x</dc:note>");
    let sidecar = folder.path().join("note.xmp");
    fs::write(&sidecar, write_sidecar(Some(extended.as_bytes()), &names).unwrap().unwrap()).unwrap();
    assert!(faces(&regions_by_exiftool(&[sidecar])[0])[0].overlap(&region) > 0.99);
}
