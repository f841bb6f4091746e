//! How many workers a fleet has: decided, and tried out in a simulated world.

pub mod flight;
pub mod memory;
pub mod policy;
pub mod simulate;
pub mod stuck;
pub mod trace;
