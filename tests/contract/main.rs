//! What every adapter of a port must do: one suite a port, generic over the adapter. Here they run
//! against the embedded adapters.

mod embedded;
mod faces;
mod queue;
