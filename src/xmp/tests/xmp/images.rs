//! Packets in image files.

use image::ImageFormat as Codec;
use muster_xmp::{
    ImageFormat, PhotoNames, XmpError, embed_packet, find_packet, read_image, write_image, write_sidecar,
};

use crate::support::{face, heic, jpeg, names, picture};

const PACKET: &[u8] = b"<?xpacket begin=''?><a/><?xpacket end='w'?>";

fn main_packet(image: &[u8]) -> Option<Vec<u8>> {
    find_packet(image).unwrap().map(|packet| packet.main)
}

/// A segment of a JPEG.
fn segment(marker: u8, body: &[u8]) -> Vec<u8> {
    [&[0xFF, marker], (body.len() as u16 + 2).to_be_bytes().as_slice(), body].concat()
}

#[test]
fn a_packet_is_put_in_replaced_and_taken_out_again() {
    let photos = [jpeg(40, 30), picture(Codec::Png), picture(Codec::WebP)];
    for (number, photo) in photos.iter().enumerate() {
        let trailing = [photo.as_slice(), if number == 2 { b"" } else { b"trailing data" }].concat();
        assert_eq!(main_packet(&trailing), None);
        let written = embed_packet(&trailing, Some(PACKET)).unwrap();
        assert_eq!(main_packet(&written).as_deref(), Some(PACKET));
        let longer = [PACKET, b" "].concat();
        let replaced = embed_packet(&written, Some(&longer)).unwrap();
        assert_eq!(main_packet(&replaced), Some(longer));
        assert_eq!(embed_packet(&replaced, Some(PACKET)).unwrap(), written);
        let bare = embed_packet(&written, None).unwrap();
        assert_eq!(main_packet(&bare), None);
        // A WebP keeps the header that it got.
        assert!(bare == trailing || number == 2);
    }
}

#[test]
fn all_other_bytes_of_a_jpeg_stay_where_they_are() {
    let photo = jpeg(40, 30);
    let exif = segment(0xE1, b"Exif\0\0MM\0*\0\0\0\x08\0\0\0\0\0\0");
    let profile = segment(0xE2, b"ICC_PROFILE\0\x01\x01profile");
    let jfif_end = 2 + 4 + 14;
    let (head, rest) = photo.split_at(jfif_end);
    let whole = [head, &exif, &profile, rest].concat();
    let written = embed_packet(&whole, Some(PACKET)).unwrap();
    let ours = segment(0xE1, &[b"http://ns.adobe.com/xap/1.0/\0", PACKET].concat());
    assert_eq!(written, [head, &exif, &ours, &profile, rest].concat());
}

#[test]
fn pictures_show_the_same_pixels_afterwards() {
    for codec in [Codec::Png, Codec::WebP] {
        let photo = picture(codec);
        let written = embed_packet(&photo, Some(PACKET)).unwrap();
        let pixels = |bytes: &[u8]| image::load_from_memory_with_format(bytes, codec).unwrap().to_rgba8();
        assert_eq!(pixels(&photo), pixels(&written), "{codec:?}");
        // Every byte of the photo is there, but for the length and the flags of a WebP.
        let kept = if codec == Codec::Png { &photo[33..] } else { &photo[12..] };
        assert!(written.windows(kept.len()).any(|part| part == kept), "{codec:?}");
    }
}

#[test]
fn a_simple_webp_gets_an_extended_header_of_its_size() {
    // RFC 6386 section 9.1: a key frame of 300 × 200.
    let lossy = [b"\x10\0\0\x9d\x01\x2a".as_slice(), &300u16.to_le_bytes(), &200u16.to_le_bytes(), b"pixels!"].concat();
    let chunk = |kind: &[u8; 4], body: &[u8]| {
        [kind, (body.len() as u32).to_le_bytes().as_slice(), body, &vec![0; body.len() % 2]].concat()
    };
    let chunks = chunk(b"VP8 ", &lossy);
    let photo = [b"RIFF".as_slice(), &(chunks.len() as u32 + 4).to_le_bytes(), b"WEBP", &chunks].concat();
    let written = embed_packet(&photo, Some(PACKET)).unwrap();
    let header = chunk(b"VP8X", &[4, 0, 0, 0, 43, 1, 0, 199, 0, 0]);
    let expected = [b"WEBP".as_slice(), &header, &chunks, &chunk(b"XMP ", PACKET)].concat();
    assert_eq!(written, [b"RIFF".as_slice(), &(expected.len() as u32).to_le_bytes(), &expected].concat());
}

#[test]
fn a_compressed_packet_of_a_png_is_read_and_a_bomb_is_not() {
    let photo = picture(Codec::Png);
    let with_text = |text: &[u8]| {
        let mut compressed = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
        std::io::Write::write_all(&mut compressed, text).unwrap();
        let body = [b"iTXtXML:com.adobe.xmp\0\x01\0en\0XMP\0".as_slice(), &compressed.finish().unwrap()].concat();
        let chunk = [&(body.len() as u32 - 4).to_be_bytes(), body.as_slice(), &[0; 4]].concat();
        [&photo[..33], &chunk, &photo[33..]].concat()
    };
    assert_eq!(main_packet(&with_text(PACKET)).as_deref(), Some(PACKET));
    assert!(matches!(find_packet(&with_text(&vec![b' '; 17 << 20])), Err(XmpError::TooLarge(_))));
    assert_eq!(main_packet(&embed_packet(&with_text(PACKET), Some(b"<b/>")).unwrap()).as_deref(), Some(&b"<b/>"[..]));
}

#[test]
fn extended_xmp_of_a_jpeg_is_joined_and_read() {
    let id = "0123456789ABCDEF0123456789ABCDEF";
    let regions = [face("Anna", (0.5, 0.5, 0.2, 0.2))];
    let extended = write_sidecar(None, &names(&regions)).unwrap().unwrap();
    let note = format!("xmlns:xmpNote='http://ns.adobe.com/xmp/note/' xmpNote:HasExtendedXMP='{id}' xmlns:dc=");
    let main = crate::support::packet("").replace("xmlns:dc=", &note);
    let part = |id: &str, at: usize, end: usize| {
        let header = [(extended.len() as u32).to_be_bytes(), (at as u32).to_be_bytes()].concat();
        let body = [b"http://ns.adobe.com/xmp/extension/\0", id.as_bytes(), &header, &extended[at..end]].concat();
        segment(0xE1, &body)
    };
    let photo = embed_packet(&jpeg(40, 30), Some(main.as_bytes())).unwrap();
    let with = |parts: &[Vec<u8>]| [&photo[..2], &parts.concat(), &photo[2..]].concat();
    let (half, end) = (extended.len() / 2, extended.len());
    let stranger = part(&id.replace('0', "A"), 0, half);
    let whole = with(&[part(id, half, end), stranger, part(id, 0, half)]);
    assert_eq!(find_packet(&whole).unwrap().unwrap().extended, Some(extended.clone()));
    assert_eq!(read_image(&whole).unwrap().regions, read_image_of(&extended));
    let cannot = write_image(&whole, &names(&regions));
    assert!(matches!(cannot, Err(XmpError::CannotEmbed { format: ImageFormat::Jpeg, .. })), "{cannot:?}");
    for broken in [with(&[part(id, 0, half)]), with(&[part(id, 0, half), part(id, half - 1, end)])] {
        assert!(matches!(find_packet(&broken), Err(XmpError::DamagedImage { .. })));
    }
}

fn read_image_of(packet: &[u8]) -> Vec<muster_xmp::Region> {
    muster_xmp::read_packet(packet).unwrap().regions
}

#[test]
fn names_are_written_into_images_and_taken_out_again() {
    let regions = [face("Anna", (0.5, 0.5, 0.2, 0.2))];
    for photo in [jpeg(40, 30), picture(Codec::Png), picture(Codec::WebP)] {
        let written = write_image(&photo, &names(&regions)).unwrap().unwrap();
        assert_eq!(read_image(&written).unwrap().regions.len(), 1);
        assert_eq!(write_image(&written, &names(&regions)), Ok(None));
        assert_eq!(write_image(&photo, &names(&[])), Ok(None));
        let gone = PhotoNames { formerly: &regions, ..names(&[]) };
        assert_eq!(find_packet(&write_image(&written, &gone).unwrap().unwrap()), Ok(None));
    }
}

#[test]
fn a_heic_is_read_and_not_written() {
    let regions = [face("Anna", (0.5, 0.5, 0.2, 0.2))];
    let packet = write_sidecar(None, &names(&regions)).unwrap().unwrap();
    for in_meta in [false, true] {
        let photo = heic(&packet, in_meta);
        assert_eq!(main_packet(&photo).as_deref(), Some(packet.as_slice()), "{in_meta}");
        assert_eq!(read_image(&photo).unwrap().regions.len(), 1);
        let cannot = embed_packet(&photo, Some(PACKET));
        assert!(matches!(cannot, Err(XmpError::CannotEmbed { format: ImageFormat::Heif, .. })), "{cannot:?}");
        assert!(matches!(find_packet(&photo[..photo.len() - 9]), Err(XmpError::DamagedImage { .. }) | Ok(None)));
    }
    assert_eq!(find_packet(b"\0\0\0\x10ftypheic\0\0\0\0"), Ok(None));
}

#[test]
fn what_does_not_fit_or_would_break_a_file_is_refused() {
    let photo = jpeg(40, 30);
    let large = vec![b' '; 65_505];
    let error = embed_packet(&photo, Some(&large)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "names cannot be written into this JPEG file: its XMP would not fit into one segment; write a sidecar instead"
    );
    assert!(embed_packet(&photo, Some(&large[..65_504])).is_ok());
    let several = [&photo[..20], &segment(0xE2, b"MPF\0II*\0"), &photo[20..]].concat();
    assert!(matches!(embed_packet(&several, Some(PACKET)), Err(XmpError::CannotEmbed { .. })));
    assert_eq!(find_packet(&several), Ok(None));
    assert_eq!(find_packet(b"GIF89a"), Err(XmpError::UnknownFormat));
    for cut in [&photo[..10], &picture(Codec::Png)[..40], &picture(Codec::WebP)[..30]] {
        assert!(matches!(find_packet(cut), Err(XmpError::DamagedImage { .. })));
    }
}
