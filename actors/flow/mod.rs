//! Credits, leases, retries and statistics: they bound, settle and count the work that flows
//! through a pipeline.

pub mod concurrency;
pub(crate) mod credit;
pub(crate) mod dirty_galleries;
pub(crate) mod lease;
pub(crate) mod lease_table;
pub mod progress;
pub(crate) mod retry;
pub(crate) mod run_stats;
