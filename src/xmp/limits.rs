//! Limits that are checked before anything is allocated for bytes from outside.

use crate::XmpError;

/// The largest sidecar file, XMP packet or `.picasa.ini` that is read, in bytes.
pub const MAX_PACKET_BYTES: usize = 16 << 20;
/// The most regions, and the most names without a region, that are read from one photo or written
/// to it.
pub const MAX_REGIONS: usize = 10_000;
/// The longest name, in characters.
pub const MAX_NAME_CHARS: usize = 200;

/// The most elements that may be nested. XMP with structures in lists needs about fifteen.
pub(crate) const MAX_DEPTH: usize = 64;
/// The most elements of a document.
pub(crate) const MAX_ELEMENTS: usize = 250_000;
/// The most attributes of a document.
pub(crate) const MAX_ATTRIBUTES: usize = 500_000;
/// The most attributes of one element.
pub(crate) const MAX_ATTRIBUTES_OF_ELEMENT: usize = 256;
/// The most namespace prefixes that may be in force at one element.
pub(crate) const MAX_PREFIXES: usize = 128;

/// Refuses more bytes than a packet may have.
pub(crate) fn check_bytes(bytes: usize) -> Result<(), XmpError> {
    if bytes > MAX_PACKET_BYTES { Err(XmpError::TooLarge(bytes)) } else { Ok(()) }
}

/// Refuses more entries than a photo may have.
pub(crate) fn check_count(count: usize) -> Result<(), XmpError> {
    if count > MAX_REGIONS { Err(XmpError::TooManyRegions(count)) } else { Ok(()) }
}
