//! A fleet's workers: the ends of the pipeline in the cloud, from settings.

mod announced;
mod depth;
mod error;
mod models;
mod published;
mod worker;

pub use announced::{Announced, Announcer};
pub use depth::Depth;
pub use error::FleetError;
pub use models::bring;
pub use published::Published;
pub use worker::{Service, Worker};
