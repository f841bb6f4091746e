//! What is known of the photos, faces and people of a gallery, and what somebody says of them: read models, results, and the
//! traits over which both a library and a fleet's database are read and corrected. Knows no store.

pub mod album;
pub mod copies;
pub mod corrected;
pub mod enrolment;
mod error;
pub mod history;
pub mod pages;
pub mod receipt;
pub mod suggested;
pub mod text;
pub mod view;

pub use album::{Album, Albums};
pub use error::{AlbumError, StoreFault};

/// The name of the one gallery of a library.
pub const LIBRARY_GALLERY: &str = "local";
/// The bucket of photos that were enrolled and are not kept.
pub const ENROLLED: &str = "enrolled";
