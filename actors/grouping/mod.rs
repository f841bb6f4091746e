//! From faces to people: which faces are one person, what people have said about it, and which group goes on as which.
//! Pure functions over vectors and decisions; no actor.

pub mod cluster;
pub mod constraints;
pub mod explain;
pub mod graph;
pub mod hold;
pub mod identification;
pub mod identity;
pub mod kept;
pub mod linkage;
pub mod links;
pub mod params;
pub mod reconcile;
pub mod say;
pub mod scan;
mod side;
#[cfg(test)]
mod tests;
pub mod voices;

pub use kept::Kept;
pub use params::Params;
pub use reconcile::reconcile;
