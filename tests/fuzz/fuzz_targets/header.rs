//! Any bytes through the header parser, and their first part through the prefilter's.
#![no_main]

use libfuzzer_sys::fuzz_target;
use muster::vision::decode::{VisionDecoder, probe};
use muster_actors::ports::decoder::Decoder;

fuzz_target!(|data: &[u8]| {
    if let Ok(header) = probe(data, &muster_fuzz::LIMITS) {
        assert!((1..=8).contains(&header.orientation));
        assert!(u64::from(header.width) * u64::from(header.height) <= muster_fuzz::LIMITS.pixels);
    }
    let quality = VisionDecoder { limits: muster_fuzz::LIMITS, side: 64 }.judge_header(data);
    assert!(quality.is_none_or(|quality| (0.0..=1.0).contains(&quality)));
});
