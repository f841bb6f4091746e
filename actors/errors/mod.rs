//! Typed errors: what went wrong ([`class`]), what to do about it ([`route`](mod@route)), and how long to wait ([`backoff`]).

pub mod backoff;
pub mod breaker;
pub mod class;
mod failure;
pub mod route;

pub use class::Class;
pub use failure::Failure;
pub use route::{History, Strategy, route};
