//! NVIDIA GPUs: which there are, which of them are used, and how they fare.
//!
//! Nothing here links against CUDA: the driver's library and NVML are loaded when somebody asks, and a machine without them
//! is an answer ([`NoGpu`]), never a panic.

pub mod cards;
pub mod choice;
pub mod health;
#[cfg(feature = "gpu")]
mod nvml;
#[cfg(feature = "gpu")]
mod probe;
pub mod room;
pub mod xid;

pub use cards::{Card, NoGpu};
pub use choice::{Choice, ChoiceError};

/// The cards that this process may use, at least one: those that the driver shows, which honours `CUDA_VISIBLE_DEVICES`.
#[cfg(feature = "gpu")]
pub fn cards() -> Result<Vec<Card>, NoGpu> {
    probe::cards()
}

/// The cards that this process may use: none, as this program was built without them.
#[cfg(not(feature = "gpu"))]
pub fn cards() -> Result<Vec<Card>, NoGpu> {
    Err(NoGpu::NotBuilt)
}

/// Bytes of a card that nobody uses; `None` where the driver does not tell.
#[cfg(feature = "gpu")]
pub fn free(ordinal: u32) -> Option<u64> {
    probe::free(ordinal)
}

/// Bytes of a card that nobody uses: unknown, as this program was built without cards.
#[cfg(not(feature = "gpu"))]
pub fn free(_: u32) -> Option<u64> {
    None
}
