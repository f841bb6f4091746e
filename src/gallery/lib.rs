//! Galleries, independent of the store that holds them: the rows of photos, faces and people that are shown, the
//! results of corrections, and the traits by which both a library and a fleet's database are read and corrected
//! ([`GalleryStore`]). The web server, the command line and the stores use them. The crate reads and writes nothing
//! itself.
//!
//! ```text
//! web server, command line ─► GalleryStore ─┬─ a library (SQLite)
//!             ▲                             └─ a fleet's database (MongoDB)
//!             └── rows, Corrected, Receipt ──────┘
//! ```

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

/// Name of the only gallery of a library.
pub const LIBRARY_GALLERY: &str = "local";
/// Bucket name of photos that were enrolled and whose bytes are not kept.
pub const ENROLLED: &str = "enrolled";
