//! What a fleet's workers do: detect, group, forget, move work during a cutover, and recognise the faces of callers.

pub mod fleet;
pub mod recognition;
