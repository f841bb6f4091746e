//! What the actors need of the world, one small trait a file with its typed error.

pub mod decoder;
pub mod engine;
pub mod faces;
pub mod index;
pub mod objects;
pub mod queue;
