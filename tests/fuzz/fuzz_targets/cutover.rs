//! See `tests/fuzz/src/cutover.rs`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| muster_fuzz::cutover::cutover(data));
