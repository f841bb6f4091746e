//! Groups faces into people: which faces are one person, what people have stated about it, and which group keeps which
//! id. It consists of pure functions over vectors and facts, without actors.

pub mod calibration;
pub mod cluster;
pub(crate) mod clustering_cache;
pub(crate) mod constraints;
pub mod dot;
pub(crate) mod evidence;
pub mod explain;
pub mod graph;
mod heap_size;
pub mod identification;
pub(crate) mod identity;
pub(crate) mod linkage;
pub(crate) mod links;
pub(crate) mod moment_units;
pub(crate) mod moments;
pub mod non_faces;
pub(crate) mod normal;
pub(crate) mod params;
pub mod picture;
pub(crate) mod ranks;
pub mod reconcile;
#[cfg(test)]
pub(crate) mod scan;
pub mod suggest;
#[cfg(test)]
mod tests;
mod touched;
mod units;
pub(crate) mod voices;
mod whitening;

pub use clustering_cache::ClusteringCache;
pub use params::Params;
pub use reconcile::reconcile;
