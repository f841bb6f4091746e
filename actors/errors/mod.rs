//! Typed errors: what went wrong ([`class`]), what to do about it (`route`), and how long to wait ([`backoff`]).

pub mod backoff;
pub(crate) mod breaker;
pub mod class;
mod failure;
pub(crate) mod route;

pub use class::Class;
pub(crate) use failure::Failure;
pub(crate) use route::{History, Strategy, route};
