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
//! What holds it together: work is bounded by [credits](flow::credit), an item's fate is tied to its [lease](flow::lease), senders
//! follow a restart through an [outlet](runtime::actor_ref), and what follows from an error is decided by one [table](mod@errors::route).

pub mod cutover;
pub mod domain;
pub mod errors;
pub mod flow;
pub mod grouping;
pub mod pipeline;
pub mod plant;
pub mod ports;
pub mod runtime;
pub mod scaler;
#[cfg(feature = "sim")]
pub mod sim;

pub use domain::exit::Exit;
pub use flow::progress::{Progress, Summary};
pub use pipeline::build::{Running, start, start_grouping};
pub use pipeline::settings::Settings;
pub use ports::Ports;
pub use runtime::drain::{Drain, Mode};
