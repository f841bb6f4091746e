//! `muster chaos`: real workers over real servers, killed, stopped, cut off and starved on a schedule that follows from a seed;
//! then an account of what was lost, what was done twice, and whether the databases hold what an undisturbed run leaves.
//!
//! ```text
//! Servers ◄── Proxy (cut, mute, slow) ◄── Workers (processes) ◄── Plan (what happens when)
//!    │                                        ▲ Metadata (Spot notices), fault files (engine)
//!    └── Audit (lost, doubled, fingerprint) ──► Report (verdict, timeline, plot)
//! ```

pub mod audit;
pub mod error;
pub mod load;
pub mod metadata;
pub mod plan;
pub mod plot;
pub mod proxy;
pub mod report;
pub mod servers;
pub mod site;
pub mod soak;
pub mod stand_in;
pub mod storm;
pub mod workers;

pub use error::ChaosError;
