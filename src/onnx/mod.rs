//! Model packs, sessions over ONNX Runtime, and the OS thread that owns a model.

pub mod analyser;
pub mod bench;
pub mod classify;
pub mod detector;
pub mod embedder;
pub mod engine;
pub mod graph;
pub mod home;
pub mod manifest;
pub mod pack;
mod prelu;
pub mod pull;
pub mod runtime;
pub mod session;
pub mod tensor;
pub mod thread;
pub mod wheel;
pub mod wire;
