//! NVIDIA GPUs: their discovery, selection and monitoring.
//!
//! This module does not link against CUDA. It loads the driver's library and NVML when they are needed; a machine
//! without them leads to an answer ([`NoGpu`]), never to a panic.

pub mod batch_size;
pub mod card_selection;
pub mod cards;
pub mod health;
#[cfg(feature = "gpu")]
mod nvml;
#[cfg(feature = "gpu")]
mod probe;
pub mod xid;

pub use card_selection::{CardSelection, CardSelectionError};
pub use cards::{Card, NoGpu};

/// Lists the cards that this process may use; there is at least one. The driver honours `CUDA_VISIBLE_DEVICES`.
///
/// # Errors
/// [`NoGpu`] when there is no card or no suitable driver, or the driver fails.
#[cfg(feature = "gpu")]
pub fn cards() -> Result<Vec<Card>, NoGpu> {
    probe::cards()
}

/// Returns an error, because this program was built without cards.
///
/// # Errors
/// Always [`NoGpu::NotBuilt`].
#[cfg(not(feature = "gpu"))]
pub fn cards() -> Result<Vec<Card>, NoGpu> {
    Err(NoGpu::NotBuilt)
}

/// Returns the free bytes of a card; `None` where the driver does not tell.
#[cfg(feature = "gpu")]
pub fn free(ordinal: u32) -> Option<u64> {
    probe::free(ordinal)
}

/// Returns `None`, because this program was built without cards.
#[cfg(not(feature = "gpu"))]
pub fn free(_: u32) -> Option<u64> {
    None
}
