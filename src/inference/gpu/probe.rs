//! Asks the driver for the cards. All calls of the driver are in this file.

use std::panic::{AssertUnwindSafe, catch_unwind};

use cudarc::driver::result::{self, DriverError};
use cudarc::driver::sys::{self, CUdevice, CUdevice_attribute_enum as Attribute, CUresult};

use super::cards::{Card, LEAST_DRIVER, NoGpu};

impl From<DriverError> for NoGpu {
    fn from(DriverError(code): DriverError) -> Self {
        match code {
            CUresult::CUDA_ERROR_NO_DEVICE => Self::NoCard { visible: std::env::var("CUDA_VISIBLE_DEVICES").ok() },
            // The driver's library has no kernel module, or one of another version.
            other => Self::Driver(format!("{other:?}")),
        }
    }
}

/// Lists the cards that the driver shows to this process. It creates a context on each to ask for its free memory,
/// which takes tenths of a second for each.
pub(super) fn cards() -> Result<Vec<Card>, NoGpu> {
    // SAFETY: loads a library by its name and lets it go.
    if !unsafe { sys::is_culib_present() } {
        return Err(NoGpu::NoDriver);
    }
    // cudarc panics when the driver lacks a function.
    catch_unwind(AssertUnwindSafe(ask)).unwrap_or_else(|_| Err(NoGpu::Driver(String::from("that it lacks a function"))))
}

fn ask() -> Result<Vec<Card>, NoGpu> {
    // The version is read first, because every driver has this function and needs no start for it. cudarc would panic
    // at a function that an older library lacks.
    let mut version = 0;
    // SAFETY: writes one number.
    unsafe { sys::cuDriverGetVersion(&raw mut version) }.result()?;
    let driver = u32::try_from(version).unwrap_or(0);
    if driver < LEAST_DRIVER {
        return Err(NoGpu::OldDriver { found: driver, needed: LEAST_DRIVER });
    }
    result::init()?;
    let (mut cards, mut failed) = (Vec::new(), DriverError(CUresult::CUDA_ERROR_NO_DEVICE).into());
    for ordinal in 0..result::device::get_count()? {
        match card(ordinal, driver) {
            Ok(card) => cards.push(card),
            // The other cards may work.
            Err(error) => {
                tracing::warn!(%error, ordinal, "device.probe: this card is left out");
                failed = error;
            }
        }
    }
    if cards.is_empty() { Err(failed) } else { Ok(cards) }
}

fn card(ordinal: i32, driver: u32) -> Result<Card, NoGpu> {
    let device = result::device::get(ordinal)?;
    // SAFETY: the device is the driver's own.
    let attribute = |which| unsafe { result::device::get_attribute(device, which) };
    let major = attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?;
    let minor = attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?;
    let (free, total) = memory(device)?;
    let number = |value: i32| u32::try_from(value).unwrap_or(0);
    Ok(Card {
        ordinal: number(ordinal),
        uuid: uuid(&result::device::get_uuid(device)?.bytes.map(|byte| byte as u8)),
        name: result::device::get_name(device)?,
        compute: (number(major), number(minor)),
        driver,
        total,
        free,
    })
}

/// Returns the free bytes of a card.
pub(super) fn free(ordinal: u32) -> Option<u64> {
    // SAFETY: loads a library by its name and lets it go.
    if !unsafe { sys::is_culib_present() } {
        return None;
    }
    result::init().ok()?;
    let device = result::device::get(i32::try_from(ordinal).ok()?).ok()?;
    memory(device).ok().map(|(free, _)| free)
}

/// Returns free and total bytes of a device, in its primary context, which ONNX Runtime uses too.
fn memory(device: CUdevice) -> Result<(u64, u64), DriverError> {
    let before = result::ctx::get_current()?;
    // SAFETY: retained once, and released once below.
    let context = unsafe { result::primary_ctx::retain(device) }?;
    // SAFETY: the context was retained above and lives until the release.
    let asked = unsafe { result::ctx::set_current(context) }.and_then(|()| result::mem_get_info());
    // SAFETY: the thread gets back the context that it had before, or none; the last release below destroys the present
    // one.
    let left = unsafe { result::ctx::set_current(before.unwrap_or(std::ptr::null_mut())) };
    // SAFETY: the counterpart of the retain above; nothing keeps the context after it.
    let released = unsafe { result::primary_ctx::release(device) };
    let (free, total) = asked?;
    left.and(released).map(|()| (free as u64, total as u64))
}

/// Formats a uuid as nvidia-smi and NVML do.
fn uuid(bytes: &[u8; 16]) -> String {
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let [a, b, c, d, e] = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]];
    format!("GPU-{a}-{b}-{c}-{d}-{e}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_without_a_driver_is_an_answer() {
        // On a machine with a card the answer is the card.
        match cards() {
            Ok(found) => assert!(!found.is_empty()),
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }

    #[test]
    fn uuids_are_written_as_nvml_writes_them() {
        let bytes: [u8; 16] = std::array::from_fn(|i| i as u8 * 17);
        assert_eq!(uuid(&bytes), "GPU-00112233-4455-6677-8899-aabbccddeeff");
    }
}
