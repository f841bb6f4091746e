//! Whatever the bytes are, they are read or refused, within limits.

use std::time::{Duration, Instant};

use muster_xmp::{
    MAX_PACKET_BYTES, MAX_REGIONS, PhotoNames, XmpError, embed_packet, find_packet, read_image, read_packet,
    write_image, write_sidecar,
};
use proptest::prelude::*;

use crate::support::{face, heic, jpeg, names, packet, picture};

#[test]
fn document_types_and_entities_are_refused() {
    let bomb = "<!DOCTYPE a [<!ENTITY b 'bbbbbbbbbb'><!ENTITY c '&b;&b;&b;&b;'>]><a>&c;</a>";
    assert_eq!(read_packet(bomb.as_bytes()), Err(XmpError::DocumentType));
    assert!(matches!(read_packet(b"<a>&c;</a>"), Err(XmpError::Entity(_))));
    assert!(matches!(read_packet(b"<a b='&c;'/>"), Err(XmpError::Entity(_))));
    assert!(matches!(read_packet(b"<a>&#xd800;</a>"), Err(XmpError::Entity(_))));
    assert!(matches!(write_sidecar(Some(bomb.as_bytes()), &names(&[])), Err(XmpError::DocumentType)));
}

#[test]
fn what_is_too_large_too_deep_or_too_much_is_refused_soon() {
    let start = Instant::now();
    let large = vec![b' '; MAX_PACKET_BYTES + 1];
    assert_eq!(read_packet(&large), Err(XmpError::TooLarge(large.len())));
    assert_eq!(write_sidecar(Some(&large), &names(&[])), Err(XmpError::TooLarge(large.len())));
    assert!(matches!(read_packet("<a>".repeat(5_000_000).as_bytes()), Err(XmpError::TooComplex(_))));
    let wide = format!("<a>{}</a>", "<b/>".repeat(4_000_000));
    assert!(matches!(read_packet(wide.as_bytes()), Err(XmpError::TooComplex(_))));
    let attributes: String = (0..1_000_000).map(|number| format!(" b{number}=''")).collect();
    assert!(matches!(read_packet(format!("<a{attributes}/>").as_bytes()), Err(XmpError::TooComplex(_))));
    let prefixes: String = (0..200).map(|number| format!(" xmlns:b{number}=''")).collect();
    assert!(matches!(read_packet(format!("<a{prefixes}/>").as_bytes()), Err(XmpError::TooComplex(_))));
    let tag = format!(
        "<digiKam:TagsList><rdf:Seq><rdf:li>{}</rdf:li></rdf:Seq></digiKam:TagsList>",
        "People/".repeat(2_000_000)
    );
    assert_eq!(read_packet(packet(&tag).as_bytes()).unwrap().people, Vec::<String>::new());
    assert!(start.elapsed() < Duration::from_secs(30), "{:?}", start.elapsed());
}

#[test]
fn a_photo_has_at_most_ten_thousand_regions() {
    let list = |count: usize| {
        let items = "<rdf:li MPReg:Rectangle='.1,.1,.1,.1'/>".repeat(count);
        packet(&format!(
            "<MP:RegionInfo rdf:parseType='Resource'><MPRI:Regions><rdf:Bag>{items}</rdf:Bag></MPRI:Regions></MP:RegionInfo>"
        ))
    };
    assert_eq!(read_packet(list(MAX_REGIONS).as_bytes()).unwrap().regions.len(), MAX_REGIONS);
    let more = list(MAX_REGIONS + 1);
    assert_eq!(read_packet(more.as_bytes()), Err(XmpError::TooManyRegions(MAX_REGIONS + 1)));
    assert_eq!(write_sidecar(Some(more.as_bytes()), &names(&[])), Err(XmpError::TooManyRegions(MAX_REGIONS + 1)));
    let many = vec![face("Anna", (0.5, 0.5, 0.1, 0.1)); MAX_REGIONS + 1];
    assert_eq!(write_sidecar(None, &names(&many)), Err(XmpError::TooManyRegions(MAX_REGIONS + 1)));
}

#[test]
fn names_and_regions_that_cannot_be_written_are_refused() {
    let write = |name: &str, place| write_sidecar(None, &names(&[face(name, place)]));
    let place = (0.5, 0.5, 0.1, 0.1);
    assert_eq!(write("\u{7}", place), Err(XmpError::EmptyName));
    assert_eq!(write(&"a".repeat(201), place), Err(XmpError::NameTooLong(201)));
    for nowhere in [(0.5, 0.5, 0.0, 0.1), (3.0, 0.5, 0.1, 0.1), (f64::NAN, 0.5, 0.1, 0.1), (0.5, 0.5, -0.1, 0.1)] {
        assert_eq!(write("Anna", nowhere), Err(XmpError::NoArea), "{nowhere:?}");
    }
}

/// Calls everything that takes bytes. What is written must be read again, and writing it again
/// change nothing.
fn try_all(bytes: &[u8]) {
    let regions = [face("Anna", (0.5, 0.5, 0.2, 0.2)), face("B & <o>", (0.2, 0.2, 0.1, 0.1))];
    let names = names(&regions);
    let _ = read_packet(bytes);
    if let Ok(Some(written)) = write_sidecar(Some(bytes), &names) {
        let found = read_packet(&written).unwrap();
        for region in &regions {
            let here = |other: &muster_xmp::Region| other.name == region.name && other.overlap(region) > 0.5;
            assert!(found.regions.iter().any(here), "{}", String::from_utf8_lossy(&written));
        }
        let again = write_sidecar(Some(&written), &names).unwrap().unwrap();
        assert_eq!(String::from_utf8_lossy(&again), String::from_utf8_lossy(&written));
    }
    let _ = read_image(bytes);
    let _ = write_image(bytes, &names);
    if let Ok(written) = embed_packet(bytes, Some(b"<a/>")) {
        assert_eq!(find_packet(&written).unwrap().unwrap().main, b"<a/>");
    }
    let _ = embed_packet(bytes, None);
}

/// Valid files of each kind.
fn valid() -> Vec<Vec<u8>> {
    let regions = [face("Anna", (0.4, 0.4, 0.2, 0.2)), face("Cleo", (0.8, 0.8, 0.1, 0.1))];
    let sidecar = write_sidecar(None, &names(&regions)).unwrap().unwrap();
    let photos = [jpeg(64, 48), picture(image::ImageFormat::Png), picture(image::ImageFormat::WebP)];
    let photos = photos.map(|photo| embed_packet(&photo, Some(&sidecar)).unwrap());
    let exiftool = include_str!("exiftool.xmp").as_bytes().to_vec();
    [vec![exiftool, heic(&sidecar, false), heic(&sidecar, true), sidecar], photos.to_vec()].concat()
}

/// A size that muster may replace.
const SIZE: &str = "<mwg-rs:AppliedToDimensions stDim:w='40' stDim:h='30'/>";

/// Elements of names in any order, in each other, with any of their attributes.
fn elements() -> impl Strategy<Value = String> {
    let names = [
        "mwg-rs:Regions",
        "mwg-rs:RegionList",
        "mwg-rs:Area",
        "mwg-rs:Name",
        "MP:RegionInfo",
        "MPRI:Regions",
        "MPReg:Rectangle",
        "Iptc4xmpExt:PersonInImage",
        "rdf:Description",
        "rdf:Bag",
        "rdf:li",
        "rdf:RDF",
        "dc:x",
        "digiKam:TagsList",
    ];
    let attributes = [
        "rdf:parseType='Resource'",
        "stArea:x='.5'",
        "stArea:y='.5'",
        "stArea:w='.2'",
        "stArea:h='.2'",
        "stDim:w='40'",
        "stDim:h='30'",
        "mwg-rs:Name='Anna'",
        "MPReg:Rectangle='.4,.4,.2,.2'",
        "MPReg:PersonDisplayName='Anna'",
        "xmlns:mwg-rs='else'",
        "xmlns:rdf='else'",
        "Iptc4xmpExt:PersonInImage='Bo'",
        "rdf:about='x'",
    ];
    let attributes = proptest::sample::subsequence(attributes.to_vec(), 0..5).prop_map(|some| some.join(" "));
    let names = proptest::sample::select(names.to_vec());
    let leaf =
        proptest::sample::select(vec!["", "\n ", "Anna", "<!-- <c> -->", "<?p ?>", "<![CDATA[Bo]]>", "&amp;", SIZE]);
    leaf.prop_map(str::to_owned).prop_recursive(8, 60, 5, move |inner| {
        let children = proptest::collection::vec(inner, 0..5).prop_map(|children| children.concat());
        (names.clone(), attributes.clone(), children).prop_map(|(name, attributes, children)| {
            if children.is_empty() {
                format!("<{name} {attributes}/>")
            } else {
                format!("<{name} {attributes}>{children}</{name}>")
            }
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..600), start in 0..5usize) {
        let starts: [&[u8]; 5] = [b"", b"\xff\xd8", b"\x89PNG\r\n\x1a\n", b"RIFF\x10\0\0\0WEBP", b"\0\0\0\x08ftypheic"];
        try_all(&[starts[start], &bytes].concat());
    }

    #[test]
    fn damaged_files_are_read_or_refused(
        file in 0..7usize,
        edits in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4u8, 1..20usize), 1..4),
    ) {
        let mut bytes = valid().swap_remove(file);
        for (at, byte, kind, length) in edits {
            let at = at.index(bytes.len());
            let end = (at + length).min(bytes.len());
            match kind {
                0 => bytes[at] = byte,
                1 => drop(bytes.drain(at..end)),
                2 => {
                    let part = bytes[at..end].to_vec();
                    bytes.splice(at..at, part);
                }
                _ => bytes.truncate(at),
            }
            // Never empty, so that the next change has a place.
            bytes.push(byte);
        }
        try_all(&bytes);
    }

    #[test]
    fn well_formed_nonsense_is_read_or_refused_and_keeps_what_is_no_place(properties in elements()) {
        let before = packet(&properties);
        try_all(before.as_bytes());
        let regions = [face("Zoë", (0.1, 0.1, 0.05, 0.05))];
        if let Ok(Some(after)) = write_sidecar(Some(before.as_bytes()), &names(&regions)) {
            let gone = PhotoNames { formerly: &regions, ..names(&[]) };
            let back = String::from_utf8(write_sidecar(Some(&after), &gone).unwrap().unwrap()).unwrap();
            prop_assert!(!back.contains("Zoë"), "{}", back);
            prop_assert_eq!(properties.matches("<!-- <c> -->").count(), back.matches("<!-- <c> -->").count());
            prop_assert_eq!(properties.matches("Bo").count(), back.matches("Bo").count());
        }
    }
}
