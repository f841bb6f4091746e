//! See `tests/fuzz/src/sibling.rs`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| muster_fuzz::sibling::sibling(data));
