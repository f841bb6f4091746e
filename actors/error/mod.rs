//! Typed errors: what went wrong ([`class`]) and what to do about it.

pub mod class;

pub use class::Class;
