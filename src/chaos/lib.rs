//! Runs `muster chaos`: real workers over real servers, which are killed, stopped, cut off and starved on a schedule that
//! follows from a seed. An audit says what was lost or done twice, and whether the databases are as after an undisturbed run.
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
