//! See `tests/fuzz/src/split.rs`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| muster_fuzz::split::split_message(data));
