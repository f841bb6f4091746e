//! Adapters, vision, settings and the command line of muster. The pipeline itself is `muster-actors`.

pub mod cli;
pub mod faiss;
#[cfg(feature = "local")]
pub mod local;
pub mod onnx;
pub mod settings;
pub mod vision;
