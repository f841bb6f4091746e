//! Names that travel: to sidecar files, which other programs read, and from what other programs wrote.

mod export;
mod import;
mod photo;

pub use export::{Exported, Place, export};
pub use import::{Imported, import};
