//! Decodes JPEG through libjpeg-turbo's TurboJPEG 3 interface: scaled in the DCT, and by region.
//!
//! The `Decompressor` of the `turbojpeg` crate cannot decode a region, and reports warnings (such as a few stray bytes,
//! which every viewer ignores) as errors. So this file has a handle of its own.
//! <https://libjpeg-turbo.org/Documentation/Documentation>

use std::ffi::{CStr, c_int, c_void};
use std::ptr::NonNull;

use muster_actors::domain::image::{Pixels, RejectReason, Rejection};
use turbojpeg::raw;

use super::orient::Rect;
use super::segments;

/// Most scans of a progressive JPEG; cameras and encoders write about ten. The limit stops scan bombs:
/// <https://libjpeg-turbo.org/pmwiki/uploads/About/TwoIssueswiththeJPEGStandard.pdf>
const SCAN_LIMIT: c_int = 100;
/// Memory, in MiB, that libjpeg may use in addition to the output (a progressive JPEG keeps all its coefficients).
const WORKING_MIB: c_int = 512;

/// Denominators of the DCT scales that have SIMD kernels. The other eighths are slower than the next larger scale.
pub(crate) const DENOMINATORS: [u32; 4] = [8, 4, 2, 1];

/// Returns `size / denominator`, rounded up as libjpeg does (TJSCALED).
pub fn scaled(size: u32, denominator: u32) -> u32 {
    size.div_ceil(denominator)
}

struct Turbo(NonNull<c_void>);

impl Drop for Turbo {
    fn drop(&mut self) {
        // SAFETY: the handle came from tj3Init and is destroyed once.
        unsafe { raw::tj3Destroy(self.0.as_ptr()) }
    }
}

/// A message of libjpeg after a call.
enum TurboMessage {
    Warning(String),
    Fatal(String),
}

impl Turbo {
    /// Creates a decompressor that has read the header of `bytes`.
    fn read(bytes: &[u8]) -> Result<Self, Rejection> {
        // SAFETY: no preconditions; null is handled.
        let handle = unsafe { raw::tj3Init(raw::TJINIT_TJINIT_DECOMPRESS as c_int) };
        let Some(handle) = NonNull::new(handle) else {
            return Err(Rejection::new(RejectReason::Corrupt, "libjpeg-turbo could not start"));
        };
        let turbo = Self(handle);
        for (key, value) in
            [(raw::TJPARAM_TJPARAM_SCANLIMIT, SCAN_LIMIT), (raw::TJPARAM_TJPARAM_MAXMEMORY, WORKING_MIB)]
        {
            // SAFETY: the handle is live; unknown keys and values are refused by a return code.
            let code = unsafe { raw::tj3Set(turbo.0.as_ptr(), key as c_int, value) };
            turbo.result(code, bytes)?;
        }
        // SAFETY: the handle is live, pointer and length are of one slice.
        let code = unsafe { raw::tj3DecompressHeader(turbo.0.as_ptr(), bytes.as_ptr(), bytes.len() as _) };
        turbo.result(code, bytes)?;
        Ok(turbo)
    }

    fn get(&self, key: raw::TJPARAM) -> c_int {
        // SAFETY: the handle is live.
        unsafe { raw::tj3Get(self.0.as_ptr(), key as c_int) }
    }

    /// Converts the return code of a call to a result. A warning is no error if the image is complete.
    fn result(&self, code: c_int, bytes: &[u8]) -> Result<(), Rejection> {
        if code == 0 {
            return Ok(());
        }
        // SAFETY: the handle is live; the string is nul-terminated and valid until the next call on it.
        let (message, warning) = unsafe {
            let text = CStr::from_ptr(raw::tj3GetErrorStr(self.0.as_ptr())).to_string_lossy().into_owned();
            (text, raw::tj3GetErrorCode(self.0.as_ptr()) == raw::TJERR_TJERR_WARNING as c_int)
        };
        judge(if warning { TurboMessage::Warning(message) } else { TurboMessage::Fatal(message) }, bytes)
    }
}

/// Converts a message of libjpeg to a result for the image.
fn judge(said: TurboMessage, bytes: &[u8]) -> Result<(), Rejection> {
    let (message, warning) = match said {
        TurboMessage::Warning(message) => (message, true),
        TurboMessage::Fatal(message) => (message, false),
    };
    let reason = if message.contains("Premature end") || !segments::has_end(bytes) {
        RejectReason::Truncated
    } else if message.contains("backing store") || message.contains("nsufficient memory") {
        RejectReason::TooManyPixels
    } else if warning && ["extraneous bytes", "JFIF revision", "Invalid SOS"].iter().any(|t| message.contains(t)) {
        return Ok(());
    } else {
        RejectReason::Corrupt
    };
    Err(Rejection::new(reason, message))
}

/// Decodes the stored pixels at 1 / `denominator` of the full size.
///
/// # Errors
/// [`Rejection`] with the reason [`RejectReason::Truncated`] or [`RejectReason::Corrupt`]; with
/// [`RejectReason::TooManyPixels`] when the coefficients of a progressive image need too much memory.
pub fn decode(bytes: &[u8], denominator: u32) -> Result<Pixels, Rejection> {
    run(bytes, denominator, None).map(|(pixels, _)| pixels)
}

/// Decodes the part of the stored pixels that contains `region` (in pixels of the scaled image). The part starts at a
/// multiple of the image's block size, so it may be larger; the second value is its place. Rows above the region are
/// only entropy-decoded, and rows below it are not decoded.
///
/// # Errors
/// As [`decode`]; a file that ends early below the region is not noticed.
pub(crate) fn decode_region(bytes: &[u8], denominator: u32, region: Rect) -> Result<(Pixels, Rect), Rejection> {
    run(bytes, denominator, Some(region))
}

fn run(bytes: &[u8], denominator: u32, region: Option<Rect>) -> Result<(Pixels, Rect), Rejection> {
    let turbo = Turbo::read(bytes)?;
    let lossless = turbo.get(raw::TJPARAM_TJPARAM_LOSSLESS) != 0;
    let size = |key| u32::try_from(turbo.get(key)).unwrap_or(0);
    let denominator = if lossless { 1 } else { denominator };
    let whole = Rect {
        x: 0,
        y: 0,
        width: scaled(size(raw::TJPARAM_TJPARAM_JPEGWIDTH), denominator),
        height: scaled(size(raw::TJPARAM_TJPARAM_JPEGHEIGHT), denominator),
    };
    if denominator > 1 {
        let factor = raw::tjscalingfactor { num: 1, denom: denominator as c_int };
        // SAFETY: the handle is live; unsupported factors are refused by a return code.
        turbo.result(unsafe { raw::tj3SetScalingFactor(turbo.0.as_ptr(), factor) }, bytes)?;
    }
    let part = match region {
        Some(region) if !lossless => crop(&turbo, whole, region, denominator, bytes)?,
        _ => whole,
    };
    let four = matches!(turbo.get(raw::TJPARAM_TJPARAM_COLORSPACE) as u32, raw::TJCS_TJCS_CMYK | raw::TJCS_TJCS_YCCK);
    let (format, channels) = if four { (raw::TJPF_TJPF_CMYK, 4) } else { (raw::TJPF_TJPF_RGB, 3) };
    let mut data = vec![0u8; part.width as usize * part.height as usize * channels];
    if data.is_empty() {
        return Err(Rejection::new(RejectReason::Corrupt, "the JPEG header says zero pixels"));
    }
    let pitch = part.width as c_int * channels as c_int;
    // SAFETY: the handle is live; `bytes` is one slice; `data` holds `part.height` rows of `pitch` bytes, which is
    // what libjpeg writes for this scale, region and format.
    let code = unsafe {
        raw::tj3Decompress8(
            turbo.0.as_ptr(),
            bytes.as_ptr(),
            bytes.len() as _,
            data.as_mut_ptr(),
            pitch,
            format as c_int,
        )
    };
    turbo.result(code, bytes)?;
    if four {
        data = from_cmyk(&data);
    }
    Ok((Pixels { width: part.width, height: part.height, data }, part))
}

/// Sets the cropping region, with its left edge moved to a block boundary, and returns the part that will be decoded.
fn crop(turbo: &Turbo, whole: Rect, region: Rect, denominator: u32, bytes: &[u8]) -> Result<Rect, Rejection> {
    let block = match turbo.get(raw::TJPARAM_TJPARAM_SUBSAMP) {
        raw::TJSAMP_TJSAMP_444 | raw::TJSAMP_TJSAMP_GRAY | raw::TJSAMP_TJSAMP_440 => 8,
        raw::TJSAMP_TJSAMP_422 | raw::TJSAMP_TJSAMP_420 | raw::TJSAMP_TJSAMP_441 => 16,
        raw::TJSAMP_TJSAMP_411 => 32,
        // Images with unusual sampling cannot be cropped, so they are decoded whole.
        _ => return Ok(whole),
    };
    let block = scaled(block, denominator);
    // At the cut edges, chroma upsampling sees other neighbours than in the whole image, so a margin is kept.
    let margin = 2 * block;
    let x = region.x.saturating_sub(margin).min(whole.width - 1) / block * block;
    let y = region.y.saturating_sub(margin).min(whole.height - 1);
    let part = Rect {
        x,
        y,
        width: region.x.saturating_add(region.width).saturating_add(margin).min(whole.width) - x,
        height: region.y.saturating_add(region.height).saturating_add(margin).min(whole.height) - y,
    };
    // libjpeg rounds the width up to whole blocks and refuses a width it would have to change.
    let right = (part.x + part.width).div_ceil(block) * block;
    let part = Rect { width: right.min(whole.width) - part.x, ..part };
    let [x, y, w, h] = [part.x, part.y, part.width, part.height].map(|v| v as c_int);
    // SAFETY: the handle is live and has read the header; a bad region is refused by a return code.
    turbo.result(unsafe { raw::tj3SetCroppingRegion(turbo.0.as_ptr(), raw::tjregion { x, y, w, h }) }, bytes)?;
    Ok(part)
}

/// Converts CMYK to RGB. The values are inverted (255 is no ink), as Adobe writes them; every program reads JPEGs so,
/// with or without Adobe's marker.
fn from_cmyk(data: &[u8]) -> Vec<u8> {
    let ink = |colour: u8, key: u8| ((u32::from(colour) * u32::from(key) + 127) / 255) as u8;
    data.as_chunks::<4>().0.iter().flat_map(|&[c, m, y, k]| [ink(c, k), ink(m, k), ink(y, k)]).collect()
}
