//! Inference: model packs, the ONNX Runtime that executes them, the cards that it may use, and the conversion of settings
//! into a pipeline around it.

pub mod gpu;
pub mod onnx;
pub mod optimize;
pub mod pipeline;
pub mod substitute;
