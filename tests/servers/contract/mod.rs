//! What every adapter of a port must do: one suite a port, generic over the adapter. They run over the
//! embedded adapters and over real servers.

mod cell;
mod embedded;
mod errors;
mod faces;
mod objects;
mod queue;
pub mod real;
mod releases;
mod staged;
mod steady;
