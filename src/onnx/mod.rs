//! Model packs, sessions over ONNX Runtime, and the OS thread that owns a model.

pub mod graph;
mod prelu;
pub mod wire;
