//! The pipeline: eight actors, the context that they share, and the function that wires them.
//!
//! ```text
//! Queue ─► Fetcher ─► Prefilter ─► Downloader ─► Batcher ◄─pull─ Device(s) ─► Writer ─► LeaseManager ─► ack
//!             ▲ credits                (decode)                                 │
//!          LeaseManager: lease renewal                                    FacesWritten ▼
//!                                                                           Grouper ─► groups
//! ```

pub mod announcer;
pub mod batcher;
pub(crate) mod build;
mod bulk;
mod context;
pub(crate) mod device;
mod downloader;
mod fetcher;
mod grouper;
pub(crate) mod item;
mod lease_manager;
mod prefilter;
mod results;
pub mod settings;
mod writer;
