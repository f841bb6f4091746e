//! What is measured beside the pipeline's own counters.

use std::collections::BTreeMap;

use muster_actors::domain::cost::{Prices, Requests};
use muster_actors::domain::histogram::Histogram;

use crate::gpu::health::Vitals;

/// What goes out beside the pipeline's own counters.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Extra {
    /// The pipeline is elsewhere: there is nothing to say of one.
    pub elsewhere: bool,
    /// What the cache did, where there is one.
    pub cache: Option<CacheCounts>,
    /// What the models run on: `cpu`, `cuda`.
    pub device: &'static str,
    /// Which worker this is: `detection`, `grouping`.
    pub service: String,
    /// Messages that wait in the queue, where that was asked.
    pub queue_depth: Option<u64>,
    /// What the models did, where there are some.
    pub models: Vec<ModelRuns>,
    /// The last look at each card.
    pub cards: Vec<Vitals>,
    /// Requests that were made, and what things cost.
    pub meter: Option<(Requests, Prices)>,
    /// What was answered over HTTP.
    pub answers: Vec<Answers>,
    /// Callers who wait for an answer, where there is somebody to ask.
    pub callers: Option<u64>,
}

/// The answers of one route.
#[derive(Clone, Debug, PartialEq)]
pub struct Answers {
    /// Its template: `/v1/people/{id}`.
    pub route: String,
    /// `GET`, `POST`.
    pub method: &'static str,
    /// How many had which status; `left` where the caller did before.
    pub statuses: BTreeMap<String, u64>,
    /// From the request to its answer.
    pub seconds: Histogram,
}

/// What one model did.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ModelRuns {
    /// `detector` or `embedder`.
    pub model: &'static str,
    /// How often it ran.
    pub runs: u64,
    /// Seconds inside the runtime, summed over lanes.
    pub seconds: f64,
}

/// What a cache did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheCounts {
    /// Look-ups that it answered.
    pub hits: u64,
    /// Look-ups that it had no answer for.
    pub misses: u64,
    /// Bytes that it gave.
    pub bytes: u64,
    /// Calls that failed or took too long.
    pub errors: u64,
}
