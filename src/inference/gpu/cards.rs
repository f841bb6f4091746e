//! Describes the cards of this machine, or why there are none.

use serde::Serialize;

/// Oldest driver on which muster's CUDA libraries (12.x) run, as CUDA numbers it: 12.0, which came with R525. Source:
/// CUDA Compatibility, "minor version compatibility" (docs.nvidia.com/deploy/cuda-compatibility).
#[cfg(any(feature = "gpu", test))]
pub(crate) const LEAST_DRIVER: u32 = 12_000;

/// A card, as its driver describes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Card {
    /// Number of the card in this process, from 0, after `CUDA_VISIBLE_DEVICES` is applied.
    pub ordinal: u32,
    /// Id of the card, `GPU-` and 32 hexadecimal digits, which is the same in every process and in NVML.
    pub uuid: String,
    /// Model of the card, such as "Tesla T4".
    pub name: String,
    /// Compute capability, major and minor, such as 7.5 for a T4.
    pub compute: (u32, u32),
    /// Newest CUDA that the driver supports: 1000 · major + 10 · minor.
    pub driver: u32,
    /// Bytes of memory.
    pub total: u64,
    /// Free bytes of memory.
    pub free: u64,
}

/// Reasons why there is no usable card.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoGpu {
    /// The program was built without the feature `gpu`.
    #[error("this muster was built without GPUs (cargo feature gpu)")]
    NotBuilt,
    /// The driver was not asked.
    #[error("no card is looked for: ONNX Runtime's build for cards is not installed (muster models pull open --cuda)")]
    NotAsked,
    /// The driver's library is missing.
    #[error("no NVIDIA driver: libcuda.so.1 cannot be loaded")]
    NoDriver,
    /// The driver is older than the CUDA libraries need.
    #[error("the NVIDIA driver is too old: it knows CUDA {}, and {} is needed (driver 525 or later)", cuda(*found), cuda(*needed))]
    OldDriver {
        /// Newest CUDA that the driver supports.
        found: u32,
        /// Oldest CUDA that is sufficient.
        needed: u32,
    },
    /// The driver shows no card.
    #[error("the NVIDIA driver shows no card{}", hidden(visible.as_deref()))]
    NoCard {
        /// Value of `CUDA_VISIBLE_DEVICES`, where it is set.
        visible: Option<String>,
    },
    /// The driver answered with an error.
    #[error("the NVIDIA driver says {0}")]
    Driver(String),
}

/// Formats a version of CUDA, such as `12.4`.
pub fn cuda(version: u32) -> String {
    format!("{}.{}", version / 1000, version % 1000 / 10)
}

fn hidden(visible: Option<&str>) -> String {
    visible.map_or_else(String::new, |value| format!(" (CUDA_VISIBLE_DEVICES is {value:?})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_said_in_words_that_lead_to_the_mend() {
        for (error, part) in [
            (NoGpu::NoDriver, "libcuda.so.1"),
            (NoGpu::OldDriver { found: 11_040, needed: LEAST_DRIVER }, "it knows CUDA 11.4, and 12.0 is needed"),
            (NoGpu::NoCard { visible: None }, "shows no card"),
            (NoGpu::NoCard { visible: Some(String::new()) }, "CUDA_VISIBLE_DEVICES is \"\""),
        ] {
            assert!(error.to_string().contains(part), "{error}");
        }
    }
}
