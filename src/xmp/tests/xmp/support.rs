//! Photos and names for the tests.

use std::io::Cursor;

use muster_xmp::{PhotoNames, Region, RegionKind, Size};

/// A face region of which the numbers are middle and size.
pub fn face(name: &str, (x, y, w, h): (f64, f64, f64, f64)) -> Region {
    Region { name: Some(name.to_owned()), x, y, w, h, kind: RegionKind::Face }
}

/// Names for a photo of 4000 × 3000 that muster has written nothing to.
pub fn names(regions: &[Region]) -> PhotoNames<'_> {
    PhotoNames { stored: Size { width: 4000, height: 3000 }, regions, formerly: &[] }
}

/// XMP with these properties in its one description.
pub fn packet(properties: &str) -> String {
    format!(
        "<x:xmpmeta xmlns:x='adobe:ns:meta/'><rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#'>\
         <rdf:Description rdf:about='' xmlns:mwg-rs='http://www.metadataworkinggroup.com/schemas/regions/' \
         xmlns:stArea='http://ns.adobe.com/xmp/sType/Area#' xmlns:stDim='http://ns.adobe.com/xap/1.0/sType/Dimensions#' \
         xmlns:MP='http://ns.microsoft.com/photo/1.2/' xmlns:MPRI='http://ns.microsoft.com/photo/1.2/t/RegionInfo#' \
         xmlns:MPReg='http://ns.microsoft.com/photo/1.2/t/Region#' xmlns:dc='http://purl.org/dc/elements/1.1/' \
         xmlns:Iptc4xmpExt='http://iptc.org/std/Iptc4xmpExt/2008-02-29/' xmlns:digiKam='http://www.digikam.org/ns/1.0/' \
         xmlns:lr='http://ns.adobe.com/lightroom/1.0/'>{properties}</rdf:Description></rdf:RDF></x:xmpmeta>"
    )
}

/// A grey JPEG: baseline, with Huffman tables that have one code each, so that two bits are a
/// block.
pub fn jpeg(width: u16, height: u16) -> Vec<u8> {
    let mut bytes = vec![0xFF, 0xD8];
    let mut segment = |marker: u8, body: &[u8]| {
        bytes.extend([0xFF, marker]);
        bytes.extend((body.len() as u16 + 2).to_be_bytes());
        bytes.extend(body);
    };
    segment(0xE0, b"JFIF\0\x01\x01\0\0\x01\0\x01\0\0");
    segment(0xDB, &[[0].as_slice(), &[1; 64]].concat());
    let [h, w] = [height.to_be_bytes(), width.to_be_bytes()];
    segment(0xC0, &[8, h[0], h[1], w[0], w[1], 1, 1, 0x11, 0]);
    // One code of one bit: no difference, and the end of the block.
    let one_code = |class: u8| [[class, 1].as_slice(), &[0; 15], &[0]].concat();
    segment(0xC4, &one_code(0x00));
    segment(0xC4, &one_code(0x10));
    segment(0xDA, &[1, 1, 0x00, 0, 63, 0]);
    let blocks = usize::from(width).div_ceil(8) * usize::from(height).div_ceil(8);
    bytes.extend(vec![0; (blocks * 2).div_ceil(8)]);
    bytes.extend([0xFF, 0xD9]);
    bytes
}

/// A small picture in one of the formats that have an encoder here.
pub fn picture(format: image::ImageFormat) -> Vec<u8> {
    let pixels = image::RgbaImage::from_fn(33, 21, |x, y| image::Rgba([x as u8 * 7, y as u8 * 11, 99, 255 - x as u8]));
    let mut bytes = Cursor::new(Vec::new());
    image::DynamicImage::ImageRgba8(pixels).write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

/// A HEIC without pixels, whose XMP is in two pieces: in the file's data, or within its metadata.
pub fn heic(packet: &[u8], in_meta: bool) -> Vec<u8> {
    let boxed = |kind: &[u8; 4], body: &[u8]| [&(body.len() as u32 + 8).to_be_bytes(), kind.as_slice(), body].concat();
    let info = |id: u8, kind: &[u8], rest: &[u8]| boxed(b"infe", &[&[2, 0, 0, 0, 0, id, 0, 0], kind, rest].concat());
    let infos = [info(1, b"hvc1", b"\0"), info(2, b"mime", b"\0application/rdf+xml\0")].concat();
    let infos = boxed(b"iinf", &[[0, 0, 0, 0, 0, 2].as_slice(), &infos].concat());
    let data = boxed(b"idat", if in_meta { packet } else { b"" });
    let start = boxed(b"ftyp", b"heic\0\0\0\0mif1heic");
    let (first, second) = (packet.len() / 3, packet.len() - packet.len() / 3);
    let meta = |at: usize| {
        let number = |number: usize| (number as u32).to_be_bytes();
        let other = [&[0, 1, 0, 0, 0, 0, 0, 1], number(0).as_slice(), &number(1)].concat();
        let pieces = [number(at), number(first), number(at + first), number(second)].concat();
        let ours = [&[0, 2, 0, u8::from(in_meta), 0, 0, 0, 2], pieces.as_slice()].concat();
        let locations = boxed(b"iloc", &[&[1, 0, 0, 0, 0x44, 0, 0, 2], other.as_slice(), &ours].concat());
        boxed(b"meta", &[&[0; 4], infos.as_slice(), &locations, &data].concat())
    };
    let media = boxed(b"mdat", if in_meta { b"" } else { packet });
    let at = if in_meta { 0 } else { start.len() + meta(0).len() + 8 };
    [start.as_slice(), &meta(at), &media].concat()
}
