//! The supervision tree and the domain of muster.
//!
//! ```text
//! Queue ─► Fetcher ─► Prefilter ─► Downloader ─► Batcher ◄─pull─ Device(s) ─► Writer ─► Keeper ─► ack
//!             ▲ credits                (decode)                                 │
//!          Keeper: lease renewal                                    FacesWritten ▼
//!                                                                           Grouper ─► groups
//! ```
//!
//! This crate knows no cloud, store or model runtime: everything outside it is a
//! [port](ports), and every decision is a pure function with a table test beside it.

pub mod error;
pub mod face;
pub mod gallery;
pub mod grouper;
pub mod image;
pub mod ports;
