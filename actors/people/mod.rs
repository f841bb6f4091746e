//! Persons: what people say of faces and groups, which facts follow from it, and how that is taken back.
//!
//! A group is computed, and changes with every photo. A [person](crate::domain::person::Person) is said, and changes
//! only by a [`Correction`]. [`mod@plan`] turns a correction into a [`Change`]: the facts that come and go, and the faces
//! that are in another group. It looks at a [`Scene`] alone: the groups and faces that the correction names, with the
//! facts about them, so it costs as much as these are large. Pure.

pub mod change;
pub mod correction;
mod draft;
pub mod legacy;
pub mod plan;
pub mod recognise;
pub mod scene;
#[cfg(test)]
mod tests;
pub mod undo;

pub use change::{Author, Change, Moved};
pub use correction::{Correction, CorrectionError, Member};
pub use plan::plan;
pub use scene::{Scene, Topic};
pub use undo::undo;
