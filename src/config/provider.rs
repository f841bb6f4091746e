//! The setting that selects the execution provider of the models.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The software that executes the models.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Provider {
    /// The fastest provider that is installed and gives the same embeddings: CUDA where there is a card, otherwise the
    /// CPU. docs/models.md has the measurements.
    #[default]
    Auto,
    /// ONNX Runtime's own CPU kernels.
    Cpu,
    /// OpenVINO for the embedder, ONNX Runtime's kernels for the detector.
    OpenVino,
    /// CUDA on NVIDIA cards.
    Cuda,
    /// TensorRT in half precision on NVIDIA cards, and CUDA for operators that it does not support. It compiles engines
    /// at its first start.
    TensorRt,
}
