//! Adapters, vision, settings and the command line of muster. The pipeline itself is `muster-actors`.

#[cfg(feature = "models")]
pub mod apart;
#[cfg(feature = "submit")]
pub mod aws;
#[cfg(feature = "models")]
pub mod cli;
#[cfg(feature = "models")]
pub mod faiss;
#[cfg(feature = "cloud")]
pub mod fleet;
#[cfg(feature = "local")]
pub mod local;
#[cfg(feature = "cloud")]
pub mod mongo;
#[cfg(feature = "models")]
pub mod onnx;
#[cfg(feature = "models")]
pub mod pipeline;
#[cfg(feature = "cloud")]
pub mod redis;
pub mod settings;
#[cfg(feature = "cloud")]
pub mod telemetry;
#[cfg(feature = "models")]
pub mod vision;
