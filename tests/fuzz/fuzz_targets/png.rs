//! Png bytes through the decoder.
#![no_main]

use libfuzzer_sys::fuzz_target;
use muster_vision::decode::Format;

fuzz_target!(|data: &[u8]| muster_fuzz::image::decode(Format::Png, data));
