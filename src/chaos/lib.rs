//! Runs `muster chaos`: real workers with real servers, which are killed, stopped, cut off and slowed down on a
//! schedule that follows from a seed. An audit then reports what was lost or done twice, and whether the databases are
//! the same as after an undisturbed run. Developers run it and the soak; no worker contains it, and it uses a stand-in
//! instead of real models.
//!
//! ```text
//! Servers ◄── Proxy (cut, mute, slow) ◄── Workers (processes) ◄── Plan (what happens when)
//!    │                                        ▲ Metadata (Spot notices), fault files (engine)
//!    └── Audit (lost, doubled, fingerprint) ──► Report (verdict, timeline, plot)
//! ```

pub mod audit;
pub mod chaos_run;
pub mod error;
pub mod metadata;
pub mod plan;
pub mod plot;
pub mod proxy;
pub mod report;
pub mod servers;
pub mod site;
pub mod soak;
pub mod stand_in;
pub mod workers;
pub mod workload;

pub use error::ChaosError;
