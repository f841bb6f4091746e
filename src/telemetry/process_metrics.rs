//! Metrics of a process beside the pipeline's own counters.

use std::collections::BTreeMap;

use muster_actors::domain::cost::{Prices, Requests};
use muster_actors::domain::histogram::Histogram;

/// Metrics of a process beside the pipeline's own counters, as of one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ProcessMetrics {
    /// Whether the pipeline runs in other processes, so that this one has no metrics of a pipeline.
    pub elsewhere: bool,
    /// Counts of the cache, where there is one.
    pub cache: Option<CacheCounts>,
    /// Execution target of the models: `cpu`, `cuda`.
    pub device: &'static str,
    /// Name of the service: `detection`, `grouping`.
    pub service: String,
    /// Messages that wait in the queue, where that is known.
    pub queue_depth: Option<u64>,
    /// Runs of each model.
    pub models: Vec<ModelRuns>,
    /// The last reading of each card.
    pub cards: Vec<CardReading>,
    /// Requests to paid services so far, with prices.
    pub meter: Option<(Requests, Prices)>,
    /// Answers over HTTP, by route.
    pub answers: Vec<RouteAnswers>,
    /// Callers who wait for an answer, where the process serves HTTP.
    pub callers: Option<u64>,
}

/// The answers of one route.
#[derive(Clone, Debug, PartialEq)]
pub struct RouteAnswers {
    /// Template of the route: `/v1/people/{id}`.
    pub route: String,
    /// HTTP method: `GET`, `POST`.
    pub method: &'static str,
    /// Number of answers by status; `left` where the caller disconnected before.
    pub statuses: BTreeMap<String, u64>,
    /// Seconds from requests to their answers.
    pub seconds: Histogram,
}

/// Runs of one model.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ModelRuns {
    /// `detector` or `embedder`.
    pub model: &'static str,
    /// Number of runs.
    pub runs: u64,
    /// Seconds inside the runtime, summed over lanes.
    pub seconds: f64,
}

/// Counts of a cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheCounts {
    /// Look-ups that the cache answered.
    pub hits: u64,
    /// Look-ups for which the cache had no answer.
    pub misses: u64,
    /// Bytes that the cache returned.
    pub bytes: u64,
    /// Calls that failed or took too long.
    pub errors: u64,
}

/// One reading of a card.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CardReading {
    /// Id of the card.
    pub uuid: String,
    /// Percent of the time since the last reading in which a kernel ran.
    pub busy: u32,
    /// Bytes of memory in use by all processes.
    pub used: u64,
    /// Temperature in degrees Celsius.
    pub temperature: u32,
    /// Power in watts.
    pub power: f64,
    /// Energy in joules since the worker started; `None` where the card does not count them (before Volta).
    pub energy: Option<f64>,
    /// Reasons why the clock is slower than it could be.
    pub throttled: Vec<&'static str>,
}

/// Computes the energy of all cards since the worker started, in joules per image that ended. `None` where no card
/// counts its energy, or no image has ended.
pub(crate) fn joules_an_image(cards: &[CardReading], images: u64) -> Option<f64> {
    let energies: Vec<f64> = cards.iter().filter_map(|card| card.energy).collect();
    (images > 0 && !energies.is_empty()).then(|| energies.iter().sum::<f64>() / images as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn energy_is_shared_among_the_images_of_all_cards_that_count_it() {
        let card = |energy| CardReading { energy, ..CardReading::default() };
        assert_eq!(joules_an_image(&[card(Some(60.0)), card(None), card(Some(40.0))], 50), Some(2.0));
        assert_eq!(joules_an_image(&[card(Some(60.0))], 0), None);
        assert_eq!(joules_an_image(&[card(None)], 5), None);
    }
}
