//! The index port over FAISS.

mod flat;

pub use flat::{FlatFactory, FlatIndex};
