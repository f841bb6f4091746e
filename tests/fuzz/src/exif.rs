//! EXIF blocks: whatever they say, the image has a size and one of eight orientations, and a
//! time, if any, that can be shown.

use muster_actors::ports::decoder::Decoder;
use muster_vision::decode::{VisionDecoder, probe};

use super::image::LIMITS;

/// The head of a JPEG of 48 × 40 pixels with this EXIF block.
fn jpeg(tiff: &[u8]) -> Vec<u8> {
    let mut head = vec![0xFF, 0xD8, 0xFF, 0xE1];
    let length = u16::try_from(tiff.len() + 8).expect("a block is shorter than 64 KiB");
    head.extend(length.to_be_bytes());
    head.extend(b"Exif\0\0");
    head.extend(tiff);
    head.extend([0xFF, 0xC0, 0, 11, 8, 0, 40, 0, 48, 1, 1, 0x11, 0]);
    head
}

/// A block that says only the orientation, in either order of bytes.
fn block(orientation: u16, little: bool) -> Vec<u8> {
    let short = |value: u16| if little { value.to_le_bytes() } else { value.to_be_bytes() };
    let long = |value: u32| if little { value.to_le_bytes() } else { value.to_be_bytes() };
    let mut tiff = if little { b"II".to_vec() } else { b"MM".to_vec() };
    tiff.extend(short(42));
    tiff.extend(long(8));
    [1, 0x0112, 3].map(short).iter().for_each(|field| tiff.extend(field));
    tiff.extend(long(1));
    [orientation, 0, 0, 0].map(short).iter().for_each(|field| tiff.extend(field));
    tiff
}

/// Bytes as the EXIF block of a JPEG, and as the orientation that a good block says.
pub fn exif(data: &[u8]) {
    let data = &data[..data.len().min(60_000)];
    let file = jpeg(data);
    let header = probe(&file, &LIMITS).expect("its frame header is good");
    assert!((1..=8).contains(&header.orientation));
    if let Some(taken) = header.taken {
        assert!(taken.local_ms > 0 && taken.offset_minutes.is_none_or(|minutes| minutes.abs() <= 14 * 60), "{taken:?}");
        assert!(taken.to_string().len() >= "1970-01-01T00:00:00".len(), "{taken}");
    }
    let turned = header.orientation > 4;
    assert_eq!((header.width, header.height), if turned { (40, 48) } else { (48, 40) });
    let quality = VisionDecoder { limits: LIMITS, side: 64 }.judge_header(&file);
    assert!(quality.is_none_or(|quality| (0.0..=1.0).contains(&quality)));
    if let Some(said) = data.first_chunk().map(|bytes| u16::from_be_bytes(*bytes)) {
        let expected = if (1..=8).contains(&said) { said } else { 1 };
        for little in [false, true] {
            let header = probe(&jpeg(&block(said, little)), &LIMITS).expect("its frame header is good");
            assert_eq!(u16::from(header.orientation), expected, "orientation {said}");
        }
    }
}
