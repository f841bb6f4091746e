//! A fleet's workers: the ends of the pipeline in the cloud, from settings.

mod announced;
mod depth;
mod ends;
mod erase;
mod error;
mod forget;
mod models;
mod published;
mod worker;

pub use announced::{Announced, Announcer};
pub use depth::Depth;
pub use error::FleetError;
pub use forget::{Forgetter, Reached, Receipt, Target};
pub use models::{bring, manifest};
pub use published::Published;
pub use worker::{Service, Worker};
