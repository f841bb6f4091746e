//! The embedded ends: a scanned folder as queue and objects, and a library as store.
//!
//! ```text
//! PATH… ─► scan ─► FolderQueue          FolderObjects ◄─ places ─► photo on disk
//!            │ compares; moves: what has another place; removals: what is gone
//!            ▼
//!        library.db ◄─ SqliteFaces (one writer thread, group commit) ◄─ Writer, Grouper
//!            │
//!            └─► view ─► people, export, report         forget ─► receipt
//! ```

pub mod adopt;
pub mod correct;
pub mod drawn_faces;
pub mod error;
pub mod face_finder;
pub mod faces;
pub mod facts;
mod file_version;
pub mod forget;
pub mod grouping;
pub mod groups;
#[cfg(test)]
mod histories;
pub mod history;
pub mod key;
mod legacy;
pub mod library;
pub mod lock;
mod moves;
pub mod objects;
pub mod overview;
pub mod pages;
pub mod problems;
pub mod queue;
pub mod relocation;
pub mod removals;
mod repoint;
pub mod report;
pub mod roots;
mod rows;
pub mod runner;
pub mod scan;
mod scene;
pub mod schema;
pub mod stage;
pub mod suggestions;
pub mod tombstones;
pub mod travel;
pub mod view;
pub mod waiting;
pub mod write;

pub use error::LibraryError;
pub use face_finder::FaceFinder;
pub use faces::SqliteFaces;
pub use key::PathMap;
pub use library::Library;
pub use objects::FolderObjects;
pub use queue::FolderQueue;
pub use runner::Runner;
pub use scan::{ScanOptions, ScanReport};

/// Milliseconds since 1970 (UTC); 0 before.
pub fn now_ms() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
