//! Reads and writes the names of people in photos as XMP, in sidecar files and in the photos
//! themselves, so that other programs understand the names that muster has, and the reverse.
//!
//! ```text
//! image ─ find_packet ─► XMP packet ─┐
//! sidecar file ──────────────────────┴─ read_packet ─► FoundNames ─► (the caller's library)
//! .picasa.ini ─ read_picasa_ini ─► regions by photo ──────────────────────▲
//! PhotoNames ─┬─ write_sidecar ─► sidecar file
//!             └─ write_image ─► image with names
//! ```
//!
//! The crate works on bytes: it opens no file and knows no library. It splices names into
//! the existing text, so that everything that other programs wrote stays as it is, byte for byte.
//!
//! Regions follow the Metadata Working Group's guidelines (version 2.0, section 5.9): a box is
//! given relative to the image as it is stored, before its EXIF orientation is applied.

mod container;
mod document;
mod edits;
mod error;
mod fragment;
mod limits;
mod listing;
mod microsoft;
mod mwg;
mod name;
mod namespace;
mod orientation;
mod parser;
mod people;
mod photo_names;
mod picasa;
mod plan;
mod rdf;
mod reader;
mod region;
mod sidecar;
mod update;

pub use container::{ImageFormat, Packet, embed_packet, find_packet};
pub use error::XmpError;
pub use limits::{MAX_NAME_CHARS, MAX_PACKET_BYTES, MAX_REGIONS};
pub use orientation::{Orientation, Size, UprightBox};
pub use photo_names::{FoundNames, PhotoNames};
pub use picasa::read_picasa_ini;
pub use reader::{read_image, read_packet};
pub use region::{Region, RegionKind};
pub use sidecar::{write_image, write_sidecar};
