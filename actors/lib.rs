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
//!
//! A pipeline is started with [`start`] from its [`Ports`] and [`Settings`], inside an actix `System`:
//! [`Running::progress`] shows what it does, [`Running::drain`] asks it to end, and [`Running::finished`] waits for
//! the [`Exit`] and the [`Summary`].
//!
//! What holds it together: work is bounded by [credits](credit), an item's fate is tied to its [lease], senders
//! follow a restart through an [outlet], and what follows from an error is decided by one [table](mod@error::route).

pub mod announcer;
pub mod batcher;
pub mod blocking;
pub mod book;
pub mod concurrency;
pub mod cost;
pub mod credit;
mod crew;
pub mod cutover;
pub mod device;
mod downloader;
pub mod drain;
pub mod error;
pub mod exit;
pub mod face;
mod fetcher;
pub mod gallery;
pub mod grouper;
pub mod histogram;
pub mod identification;
pub mod image;
mod item;
mod keeper;
pub mod lease;
pub mod ledger;
pub mod message;
pub mod outlet;
pub mod plant;
pub mod ports;
pub mod prefilter;
pub mod progress;
pub mod scaler;
pub mod settings;
#[cfg(feature = "sim")]
pub mod sim;
pub mod supervisor;
pub mod timings;
mod writer;

pub use drain::{Drain, Mode};
pub use exit::Exit;
pub use ports::Ports;
pub use progress::{Progress, Summary};
pub use settings::Settings;
pub use supervisor::tree::{Running, start, start_grouping};
