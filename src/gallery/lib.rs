//! Galleries, independent of their stores: read models of photos, faces and people, results of corrections, and the traits by
//! which both a library and a fleet's database are read and corrected.

pub mod copies;
pub mod corrected;
pub mod enrolment;
mod error;
pub mod gallery_store;
pub mod history;
pub mod pages;
pub mod receipt;
pub mod suggested;
pub mod text;
pub mod view;

pub use error::{AddFaceError, GalleryError, StoreFault};
pub use gallery_store::{GalleryStore, GalleryStores};

/// The name of the one gallery of a library.
pub const LIBRARY_GALLERY: &str = "local";
/// The bucket of photos that were enrolled and are not kept.
pub const ENROLLED: &str = "enrolled";
