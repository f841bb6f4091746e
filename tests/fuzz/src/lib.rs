//! What each parser of outside bytes owes, whatever the bytes: one function a target. They run under libFuzzer (`make fuzz`) and,
//! over the kept seeds and mutations of them, in `cargo test --test folder parsers`.

pub mod cutover;
pub mod exif;
pub mod header;
pub mod image;
pub mod key;
pub mod library;
pub mod manifest;
pub mod memory;
pub mod message;
pub mod model;
pub mod settings;
mod shelf;
pub mod sibling;
pub mod split;
pub mod trace;
pub mod wheel;
