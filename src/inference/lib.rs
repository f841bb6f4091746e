//! Inference: model packs and the ONNX Runtime that executes them, the cards it may use, and what turns a person's settings
//! into a pipeline around it.

pub mod gpu;
pub mod onnx;
pub mod optimize;
pub mod pipeline;
pub mod substitute;
