//! Names that travel: to sidecar files, which other programs read, from what other programs wrote, and from one library
//! into another.

mod backup;
mod export;
mod import;
mod photo;

pub use backup::{Restored, backup, restore};
pub use export::{Exported, Place, export};
pub use import::{Imported, import};
