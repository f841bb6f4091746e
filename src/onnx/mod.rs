//! Model packs, sessions over ONNX Runtime, and the OS thread that owns a model.
