//! Decodes HEIC and AVIF with the system's libheif, which is loaded when the first such image comes.
//!
//! libheif applies the rotation and mirroring of the image itself, so the EXIF orientation is not applied again.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr::{null, null_mut};
use std::sync::OnceLock;

use libloading::Library;
use muster_actors::domain::image::{Pixels, RejectReason, Rejection};

use super::Limits;

const RGB: c_int = 1;
const INTERLEAVED_RGB: c_int = 10;
const INTERLEAVED: c_int = 10;

/// Returns whether the bytes begin an ISO base media file with the brand of a still image.
pub(crate) fn is_heif(bytes: &[u8]) -> bool {
    let brands: [&[u8]; 8] = [b"heic", b"heix", b"heim", b"heis", b"mif1", b"msf1", b"avif", b"hevc"];
    bytes.get(4..8) == Some(b"ftyp") && bytes.get(8..12).is_some_and(|brand| brands.contains(&brand))
}

/// Returns the largest `ispe` (image spatial extents, ISO/IEC 23008-12 section 6.5.3) as width and height. The whole
/// image is the largest item; its tiles and thumbnails are smaller.
///
/// # Errors
/// `Truncated` where the file ends within a box, otherwise `Corrupt`, when the size is missing.
pub fn stored_size(bytes: &[u8]) -> Result<(u32, u32), Rejection> {
    let missing = || {
        let reason = if boxes(bytes).any(|b| b.cut) { RejectReason::Truncated } else { RejectReason::Corrupt };
        Rejection::new(reason, "the HEIC has no image size")
    };
    let find = |bytes, kind: &[u8; 4]| boxes(bytes).find(|b| &b.kind == kind).map(|b| b.body);
    // `meta` is a full box: four bytes of version and flags before its children.
    let meta = find(bytes, b"meta").and_then(|body| body.get(4..)).ok_or_else(missing)?;
    let properties = find(meta, b"iprp").and_then(|body| find(body, b"ipco")).ok_or_else(missing)?;
    boxes(properties)
        .filter(|b| &b.kind == b"ispe")
        .filter_map(|b| Some((be(b.body.get(4..8)?), be(b.body.get(8..12)?))))
        .max_by_key(|&(w, h)| u64::from(w) * u64::from(h))
        .filter(|&(w, h)| w > 0 && h > 0)
        .ok_or_else(missing)
}

/// Returns the TIFF structure of the `Exif` item (ISO/IEC 23008-12 annex A.2.1), if it lies in one piece in this file,
/// as every camera writes it.
pub(crate) fn exif(bytes: &[u8]) -> Option<&[u8]> {
    let meta = child(bytes, b"meta")?.get(4..)?;
    let item = exif_item(child(meta, b"iinf")?)?;
    let block = item_bytes(bytes, meta, item)?;
    // The first four bytes of the block are the distance from their end to the TIFF structure.
    block.get(4..)?.get(be(block.get(..4)?) as usize..)
}

/// Returns the body of the first child box of a kind.
fn child<'a>(bytes: &'a [u8], kind: &[u8; 4]) -> Option<&'a [u8]> {
    boxes(bytes).find(|part| &part.kind == kind && !part.cut).map(|part| part.body)
}

/// Returns the id of the `Exif` item among the item infos (ISO/IEC 14496-12 section 8.11.6).
fn exif_item(infos: &[u8]) -> Option<u32> {
    let count = if infos.first()? == &0 { 2 } else { 4 };
    boxes(infos.get(4 + count..)?).filter(|info| &info.kind == b"infe").find_map(|info| {
        let id = match info.body.first()? {
            2 => 2,
            3 => 4,
            _ => return None,
        };
        // After the id come two bytes of protection, then the type.
        let kind = info.body.get(6 + id..10 + id)?;
        (kind == b"Exif").then(|| info.body.get(4..4 + id).map(be))?
    })
}

/// Reads the numbers of a box one after another.
struct Numbers<'a>(&'a [u8]);

impl Numbers<'_> {
    /// Reads the next number, which has this number of `bytes`; `None` for a number of more than 32 bits.
    fn next(&mut self, bytes: usize) -> Option<u32> {
        let (number, rest) = self.0.split_at_checked(bytes)?;
        self.0 = rest;
        let (high, low) = number.split_at(bytes.saturating_sub(4));
        high.iter().all(|&byte| byte == 0).then(|| be(low))
    }

    fn skip(&mut self, bytes: usize) -> Option<()> {
        self.0 = self.0.get(bytes..)?;
        Some(())
    }
}

/// Returns the bytes of an item of one extent, from the item locations (ISO/IEC 14496-12 section 8.11.3).
fn item_bytes<'a>(file: &'a [u8], meta: &'a [u8], item: u32) -> Option<&'a [u8]> {
    let mut numbers = Numbers(child(meta, b"iloc")?);
    let version = numbers.next(1)?;
    if version > 2 {
        return None;
    }
    numbers.next(3)?;
    let (sizes, more) = (numbers.next(1)? as usize, numbers.next(1)? as usize);
    let (offset_size, length_size, base_size) = (sizes >> 4, sizes & 15, more >> 4);
    let index_size = if version == 0 { 0 } else { more & 15 };
    let id_size = if version == 2 { 4 } else { 2 };
    for _ in 0..numbers.next(id_size)? {
        let id = numbers.next(id_size)?;
        let method = if version == 0 { 0 } else { numbers.next(2)? & 15 };
        numbers.next(2)?;
        let base = numbers.next(base_size)?;
        let extents = numbers.next(2)?;
        if id != item {
            numbers.skip(extents as usize * (index_size + offset_size + length_size))?;
            continue;
        }
        if extents != 1 {
            return None;
        }
        numbers.skip(index_size)?;
        let (offset, length) = (numbers.next(offset_size)?, numbers.next(length_size)?);
        let whole = match method {
            0 => file,
            1 => child(meta, b"idat")?,
            _ => return None,
        };
        let start = usize::try_from(u64::from(base) + u64::from(offset)).ok()?;
        return whole.get(start..)?.get(..length as usize);
    }
    None
}

struct Part<'a> {
    kind: [u8; 4],
    body: &'a [u8],
    cut: bool,
}

fn be(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |value, &byte| value << 8 | u32::from(byte))
}

/// Iterates over the boxes of a container (ISO/IEC 14496-12 section 4.2). A box that is cut off has the bytes that are
/// there.
fn boxes(mut bytes: &[u8]) -> impl Iterator<Item = Part<'_>> {
    std::iter::from_fn(move || {
        let size = be(bytes.get(..4)?) as usize;
        let kind = *bytes.get(4..)?.first_chunk::<4>()?;
        let (header, size) = match size {
            0 => (8, bytes.len()),
            1 => {
                let high = be(bytes.get(8..12)?);
                let low = be(bytes.get(12..16)?) as usize;
                (16, if high == 0 { low } else { usize::MAX })
            }
            size => (8, size),
        };
        if size < header {
            return None;
        }
        let cut = size > bytes.len();
        let (part, rest) = bytes.split_at(size.min(bytes.len()));
        bytes = rest;
        Some(Part { kind, body: part.get(header..)?, cut })
    })
}

#[repr(C)]
struct HeifStatus {
    code: c_int,
    subcode: c_int,
    message: *const c_char,
}

impl HeifStatus {
    fn check(self) -> Result<(), Rejection> {
        if self.code == 0 {
            return Ok(());
        }
        // SAFETY: libheif's messages are nul-terminated and live at least as long as the context.
        let message = unsafe { self.message.as_ref().map(|first| CStr::from_ptr(first).to_string_lossy()) };
        let detail: String = message.as_deref().unwrap_or("libheif refused the image").chars().take(200).collect();
        // 3: unsupported file type; 4: unsupported feature; 11: plugin loading (heif_error_code).
        let reason = match self.code {
            3 | 4 | 11 => RejectReason::DecoderMissing,
            _ if detail.contains("nd of file") || detail.contains("nd of data") => RejectReason::Truncated,
            _ => RejectReason::Corrupt,
        };
        Err(Rejection::new(reason, detail))
    }
}

/// Checks that HEIC can be decoded here: libheif is installed and has the functions that are needed.
///
/// # Errors
/// `DecoderMissing` where it is not.
pub fn is_installed() -> Result<(), Rejection> {
    Heif::get().map(|_| ())
}

/// The functions of libheif that are used, with the library that keeps them loaded.
struct Heif {
    context_alloc: unsafe extern "C" fn() -> *mut c_void,
    context_free: unsafe extern "C" fn(*mut c_void),
    set_limit: unsafe extern "C" fn(*mut c_void, c_int),
    read: unsafe extern "C" fn(*mut c_void, *const c_void, usize, *const c_void) -> HeifStatus,
    primary: unsafe extern "C" fn(*mut c_void, *mut *mut c_void) -> HeifStatus,
    handle_width: unsafe extern "C" fn(*const c_void) -> c_int,
    handle_height: unsafe extern "C" fn(*const c_void) -> c_int,
    handle_release: unsafe extern "C" fn(*const c_void),
    decode: unsafe extern "C" fn(*const c_void, *mut *mut c_void, c_int, c_int, *const c_void) -> HeifStatus,
    plane: unsafe extern "C" fn(*const c_void, c_int, *mut c_int) -> *const u8,
    image_width: unsafe extern "C" fn(*const c_void, c_int) -> c_int,
    image_height: unsafe extern "C" fn(*const c_void, c_int) -> c_int,
    image_release: unsafe extern "C" fn(*const c_void),
    _library: Library,
}

impl Heif {
    fn load() -> Result<Self, libloading::Error> {
        // SAFETY: libheif's load-time initialisers only register codecs.
        let library = unsafe { Library::new("libheif.so.1")? };
        // SAFETY: the types above are those of heif.h, whose ABI is stable within so version 1, and the
        // pointers are kept beside the library.
        unsafe {
            Ok(Self {
                context_alloc: *library.get(b"heif_context_alloc\0")?,
                context_free: *library.get(b"heif_context_free\0")?,
                set_limit: *library.get(b"heif_context_set_maximum_image_size_limit\0")?,
                read: *library.get(b"heif_context_read_from_memory_without_copy\0")?,
                primary: *library.get(b"heif_context_get_primary_image_handle\0")?,
                handle_width: *library.get(b"heif_image_handle_get_width\0")?,
                handle_height: *library.get(b"heif_image_handle_get_height\0")?,
                handle_release: *library.get(b"heif_image_handle_release\0")?,
                decode: *library.get(b"heif_decode_image\0")?,
                plane: *library.get(b"heif_image_get_plane_readonly\0")?,
                image_width: *library.get(b"heif_image_get_width\0")?,
                image_height: *library.get(b"heif_image_get_height\0")?,
                image_release: *library.get(b"heif_image_release\0")?,
                _library: library,
            })
        }
    }

    fn get() -> Result<&'static Self, Rejection> {
        static HEIF: OnceLock<Option<Heif>> = OnceLock::new();
        HEIF.get_or_init(|| Self::load().ok()).as_ref().ok_or_else(|| {
            let detail = "HEIC needs the system library libheif: apt-get install libheif1";
            Rejection::new(RejectReason::DecoderMissing, detail)
        })
    }
}

/// A pointer from libheif, with the function that frees it.
struct Owned(*mut c_void, unsafe extern "C" fn(*const c_void));

impl Drop for Owned {
    fn drop(&mut self) {
        // SAFETY: the pointer came from libheif for this function and is released once.
        unsafe { self.1(self.0) }
    }
}

struct Context(*mut c_void, &'static Heif);

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: the context came from heif_context_alloc and is freed once, after its handles and images.
        unsafe { (self.1.context_free)(self.0) }
    }
}

/// Decodes the primary image to upright pixels.
///
/// # Errors
/// `DecoderMissing` where libheif or its codec is not installed; `TooManyPixels`, `Truncated` or `Corrupt` where the
/// image is at fault.
pub fn decode(bytes: &[u8], limits: &Limits) -> Result<Pixels, Rejection> {
    let heif = Heif::get()?;
    let corrupt = |detail: &str| Rejection::new(RejectReason::Corrupt, detail);
    // SAFETY: no preconditions.
    let context = Context(unsafe { (heif.context_alloc)() }, heif);
    if context.0.is_null() {
        return Err(corrupt("libheif could not start"));
    }
    let longest = c_int::try_from(limits.pixels.isqrt().saturating_mul(4)).unwrap_or(c_int::MAX);
    let mut handle = null_mut();
    // SAFETY: the context is live, and `bytes` outlives it; `handle` is a place for a pointer.
    unsafe {
        (heif.set_limit)(context.0, longest);
        (heif.read)(context.0, bytes.as_ptr().cast(), bytes.len(), null()).check()?;
        (heif.primary)(context.0, &raw mut handle).check()?;
    }
    if handle.is_null() {
        return Err(corrupt("the HEIC has no primary image"));
    }
    let handle = Owned(handle, heif.handle_release);
    // SAFETY: the handle is live.
    let size = unsafe { ((heif.handle_width)(handle.0), (heif.handle_height)(handle.0)) };
    let size = (u32::try_from(size.0).unwrap_or(0), u32::try_from(size.1).unwrap_or(0));
    limits.check_pixels(size.0, size.1)?;
    let mut image = null_mut();
    // SAFETY: the handle is live, `image` is a place for a pointer, no options means the defaults.
    unsafe { (heif.decode)(handle.0, &raw mut image, RGB, INTERLEAVED_RGB, null()).check()? };
    if image.is_null() {
        return Err(corrupt("libheif gave no image"));
    }
    let image = Owned(image, heif.image_release);
    let mut stride: c_int = 0;
    // SAFETY: the image is live; the plane lives as long as it does.
    let (width, height, plane) = unsafe {
        let plane = (heif.plane)(image.0, INTERLEAVED, &raw mut stride);
        ((heif.image_width)(image.0, INTERLEAVED), (heif.image_height)(image.0, INTERLEAVED), plane)
    };
    let (width, height) = (u32::try_from(width).unwrap_or(0), u32::try_from(height).unwrap_or(0));
    let (row, stride) = (width as usize * 3, usize::try_from(stride).unwrap_or(0));
    if plane.is_null() || width == 0 || height == 0 || stride < row {
        return Err(corrupt("libheif gave no pixels"));
    }
    limits.check_pixels(width, height)?;
    let mut data = Vec::with_capacity(row * height as usize);
    for y in 0..height as usize {
        // SAFETY: the plane holds `height` rows of `stride` bytes, of which the first `row` are pixels.
        data.extend_from_slice(unsafe { std::slice::from_raw_parts(plane.add(y * stride), row) });
    }
    Ok(Pixels { width, height, data })
}
