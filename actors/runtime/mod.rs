//! Supervised actors: they are started, watched, restarted when they crash, and drained in order.
//!
//! actix's own `Supervisor` restarts nothing after a panic in a handler. Here a child has a factory, a guard that is
//! dropped with its actor, a heartbeat and a limit on restarts.

pub mod actor_ref;
pub mod blocking;
pub(crate) mod child;
pub mod drain;
pub(crate) mod exit_guard;
pub(crate) mod heartbeat;
pub mod restart;
pub(crate) mod supervisor;
