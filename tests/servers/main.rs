//! What needs servers (MongoDB, Redis, SQS, S3, collectors): adapters under their ports' contracts, workers as processes, what
//! scales them, and chaos. One program, so that everything is linked once; its tests wait more than they compute.

mod chaos;
mod contract;
mod fleet;
mod people;
mod scale;
#[path = "../support/mod.rs"]
mod support;
mod telemetry;
