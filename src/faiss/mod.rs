//! The index port over FAISS.
