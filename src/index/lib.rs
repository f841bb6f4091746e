//! The index port over FAISS.

mod flat;
mod sweep;

pub use flat::{FlatFactory, FlatIndex};
