//! How many workers a fleet has: decided, and tried out in a simulated world.

pub mod policy;
pub mod simulate;
pub mod trace;
