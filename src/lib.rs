//! Adapters, vision, settings and the command line of muster. The pipeline itself is `muster-actors`.

#[cfg(feature = "cloud")]
pub mod aws;
pub mod cli;
pub mod faiss;
#[cfg(feature = "cloud")]
pub mod fleet;
#[cfg(feature = "local")]
pub mod local;
#[cfg(feature = "cloud")]
pub mod mongo;
pub mod onnx;
pub mod pipeline;
#[cfg(feature = "cloud")]
pub mod redis;
pub mod settings;
#[cfg(feature = "cloud")]
pub mod telemetry;
pub mod vision;
