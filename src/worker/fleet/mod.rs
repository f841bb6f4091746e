//! A fleet's workers: pipelines over services of the cloud, from settings.

mod admin_stores;
mod cutover;
mod depth_monitor;
mod erase;
mod error;
mod fleet_clients;
mod forget;
mod memory;
mod models;
mod objects;
mod packs;
mod processes;
mod publication;
mod publishing_store;
mod respond;
mod worker;

pub use admin_stores::AdminStores;
pub use cutover::{Cutover, CutoverProcess, CutoverReport};
pub use depth_monitor::DepthMonitor;
pub use error::FleetError;
pub use forget::{ForgetTarget, Forgetter};
pub use models::{bring, manifest};
pub use processes::{CommandFactory, LocalQueueMetrics, Processes, WorkerEvent, WorkerListener};
pub use publishing_store::{Layouts, PublishingStore};
pub use worker::Worker;
