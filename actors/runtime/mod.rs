//! Supervised actors: they are started, watched, restarted when they crash, and drained in order.
//!
//! actix's own `Supervisor` restarts nothing after a panic in a handler. Here a child has a factory, a guard that is
//! dropped with its actor, a heartbeat and a limit on [restarts](restart). Senders hold an `ActorRef`, which follows a
//! restart. Nothing here knows what the actors do.

pub(crate) mod actor_ref;
pub mod blocking;
pub(crate) mod child;
pub mod drain;
pub(crate) mod exit_guard;
pub(crate) mod heartbeat;
pub(crate) mod hooks;
pub mod restart;
pub(crate) mod shutdown;
pub(crate) mod supervisor;
pub(crate) mod supervisor_ref;
#[cfg(test)]
mod tests;
