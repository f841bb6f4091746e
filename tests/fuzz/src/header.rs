//! Headers of images: a size within the limits, and the quality of what the prefilter sees.

use muster_actors::ports::decoder::Decoder;
use muster_vision::decode::{Format, VisionDecoder, probe};

use super::image::LIMITS;

/// Any bytes through the header parser, and as the first part of an image through the prefilter's.
pub fn header(data: &[u8]) {
    let read = probe(data, &LIMITS);
    assert_eq!(read, probe(data, &LIMITS), "read twice");
    if let Ok(header) = read {
        assert_eq!(Format::detect(data), Some(header.format));
        assert!((1..=8).contains(&header.orientation));
        assert!(header.width > 0 && header.height > 0);
        assert!(u64::from(header.width) * u64::from(header.height) <= LIMITS.pixels);
        let (width, height) = header.stored_size();
        let stored = if header.orientation > 4 { (height, width) } else { (width, height) };
        assert_eq!(stored, (header.width, header.height));
    }
    let quality = VisionDecoder { limits: LIMITS, side: 64 }.judge_header(data);
    assert!(quality.is_none_or(|quality| (0.0..=1.0).contains(&quality)));
}
