//! NVIDIA GPUs: their discovery, selection and monitoring.
//!
//! Nothing here links against CUDA: the driver's library and NVML are loaded when somebody asks, and a machine without them
//! is an answer ([`NoGpu`]), never a panic.

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

/// Lists the cards that this process may use, at least one. The driver honours `CUDA_VISIBLE_DEVICES`.
///
/// # Errors
/// There is no card or no driver, or the driver fails.
#[cfg(feature = "gpu")]
pub fn cards() -> Result<Vec<Card>, NoGpu> {
    probe::cards()
}

/// Returns an error, because this program was built without cards.
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
