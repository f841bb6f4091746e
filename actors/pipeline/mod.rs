//! The pipeline: eight actors, the context that they share, and the function that wires them.
//!
//! ```text
//! Queue ─► Fetcher ─► Prefilter ─► Downloader ─► Batcher ◄─pull─ Device(s) ─► Writer ─► Keeper ─► ack
//!             ▲ credits                (decode)                                 │
//!          Keeper: lease renewal                                    FacesWritten ▼
//!                                                                           Grouper ─► groups
//! ```

pub mod announcer;
pub mod batcher;
pub mod build;
pub(crate) mod context;
pub mod device;
mod downloader;
mod fetcher;
pub(crate) mod grouper;
mod item;
mod keeper;
mod prefilter;
pub mod settings;
mod writer;
