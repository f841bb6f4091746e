//! Implements the port `Index` of `muster-actors` with FAISS's flat index: exact nearest neighbours
//! of unit vectors by inner product. Grouping, and the recognition of faces in uploaded photos,
//! search with it. It stores nothing on disk and knows no faces, only vectors and their positions.

mod flat;
mod sweep;

pub use flat::{FlatFactory, FlatIndex};
