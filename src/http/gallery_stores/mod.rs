//! The galleries that a web front serves: a library's, or a fleet's.

mod fleet;
mod galleries;
mod kept_copies;
mod library;

pub use fleet::FleetGalleryStores;
pub use galleries::LibraryGallery;
pub use library::LibraryGalleryStore;
