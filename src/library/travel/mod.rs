//! Exchanges names: writes sidecar files for other programs, reads theirs, and copies names from one library into another.

mod backup;
mod export;
mod import;
mod photo;

pub use backup::{Restored, backup, restore};
pub use export::{Exported, XmpTarget, export};
pub use import::{Imported, import};
