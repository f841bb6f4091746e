//! Walks the segments of a JPEG up to its first scan, for the dimensions and the EXIF block,
//! without decoding.

/// The head of a JPEG.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head<'a> {
    /// Stored columns and rows, if the frame header was reached.
    pub size: Option<(u32, u32)>,
    /// The TIFF structure of the EXIF block, if one came before the frame header.
    pub exif: Option<&'a [u8]>,
    /// Whether something else was found where a marker must be.
    pub broken: bool,
}

/// Walks the segments of `bytes`, which may be only the beginning of a file (ITU-T T.81 annex B).
/// It reads nothing past the frame header (SOFn) or the first scan.
pub fn walk(bytes: &[u8]) -> Head<'_> {
    let mut head = Head { size: None, exif: None, broken: false };
    let mut at = 2;
    loop {
        // Fill bytes: any number of 0xFF may precede a marker.
        let Some(&first) = bytes.get(at) else { return head };
        if first != 0xFF {
            head.broken = true;
            return head;
        }
        let Some(&marker) = bytes.get(at + 1) else { return head };
        at += 1;
        if marker == 0xFF {
            continue;
        }
        at += 1;
        match marker {
            0x01 | 0xD0..=0xD7 => continue,
            0xD8 => continue,
            0xD9 | 0xDA => {
                head.broken = true;
                return head;
            }
            _ => {}
        }
        let Some(length) = bytes.get(at..at + 2).map(|b| usize::from(u16::from_be_bytes([b[0], b[1]]))) else {
            return head;
        };
        if length < 2 {
            head.broken = true;
            return head;
        }
        let Some(body) = bytes.get(at + 2..at + length) else { return head };
        match marker {
            0xC0..=0xCF if !matches!(marker, 0xC4 | 0xC8 | 0xCC) => {
                match body.get(1..5) {
                    Some(b) => {
                        let of = |i: usize| u32::from(u16::from_be_bytes([b[i], b[i + 1]]));
                        head.size = Some((of(2), of(0)));
                    }
                    None => head.broken = true,
                }
                return head;
            }
            0xE1 if head.exif.is_none() => head.exif = body.strip_prefix(b"Exif\0\0"),
            _ => {}
        }
        at += length;
    }
}

/// Returns whether the file has an end-of-image marker. Cameras append previews and vendor data to
/// the image, so the marker may be anywhere.
pub(crate) fn has_end(bytes: &[u8]) -> bool {
    bytes.windows(2).rev().any(|pair| pair == [0xFF, 0xD9])
}
