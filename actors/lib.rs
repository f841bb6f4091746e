//! The pipeline of muster, its domain, and every decision that muster takes. The program and the workers of a fleet run
//! it over a folder or over cloud services.
//!
//! This crate knows no cloud, store or model runtime. Everything outside it is a [port](ports), which an adapter in
//! another crate implements, and every decision is a pure function with a table test beside it.
//!
//! A pipeline is started with [`start`] from its [`Ports`] and [`Settings`], inside an actix `System`.
//! [`Running::progress`] shows what it has done, [`Running::drain`] asks it to end, and [`Running::finished`] waits for
//! the [`Exit`] and the [`Summary`].
//!
//! ```text
//! Queue ─► Fetcher ─► Prefilter ─► Downloader ─► Batcher ◄─pull─ Device(s) ─► Writer ─► LeaseManager ─► ack
//!                                                                               │
//!                                                                 FacesWritten  ▼
//!                                                                            Grouper ─► groups
//! ```
//!
//! The folders are layers; `actors/tests/layers.rs` has the table of which may use which.
//!
//! | Folder | What is in it |
//! |---|---|
//! | [`domain`] | images, faces, galleries, messages, exits: data and its rules |
//! | [`errors`] | the classes of errors, and one table that says what follows from each |
//! | [`ports`] | the traits of outside systems, one in each file |
//! | [`runtime`] | supervised actors: restarts, heartbeats, drains; knows no pipeline |
//! | [`flow`] | credits that bound the work, leases that tie each item to its message, retries, statistics |
//! | [`pipeline`] | the eight actors, their context, their settings, and how they are wired |
//! | [`grouping`] | groups faces into people, in pure functions |
//! | [`people`] | people's corrections of faces and groups, and the facts that follow, in pure functions |
//! | [`scaler`], [`cutover`] | how many workers a fleet has; moving work between two fleets |
//! | `sim` | a seeded world of fakes and faults |

pub mod cutover;
pub mod domain;
pub mod errors;
pub mod flow;
pub mod grouping;
pub mod people;
pub mod pipeline;
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
