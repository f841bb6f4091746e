//! Groups the faces of a gallery by person.

pub mod cluster;
pub mod constraints;
pub mod explain;
pub mod graph;
pub mod identity;
pub mod linkage;
pub mod params;
pub mod reconcile;
pub mod scan;

pub use params::Params;
pub use reconcile::reconcile;

#[cfg(test)]
mod tests;
