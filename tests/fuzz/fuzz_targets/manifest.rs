//! See `tests/fuzz/src/manifest.rs`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| muster_fuzz::manifest::manifest(data));
