//! A fleet's workers: the ends of the pipeline in the cloud, from settings.

mod cutover;
mod depth;
mod ends;
mod erase;
mod error;
mod forget;
mod memory;
mod models;
mod objects;
mod packs;
mod processes;
mod publication;
mod published;
mod respond;
mod stores;
mod worker;

pub use cutover::{Cutover, Look, Watch};
pub use depth::Depth;
pub use error::FleetError;
pub use forget::{Forgetter, Target};
pub use models::{bring, manifest};
pub use processes::{Event, Hear, LocalGauge, Make, Processes};
pub use published::{Layouts, Published};
pub use stores::Stores;
pub use worker::Worker;
