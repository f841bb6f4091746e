//! What is measured beside the pipeline's own counters.

use std::collections::BTreeMap;

use muster_actors::domain::cost::{Prices, Requests};
use muster_actors::domain::histogram::Histogram;

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
    pub cards: Vec<CardReading>,
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

/// One look at a card.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CardReading {
    /// Which.
    pub uuid: String,
    /// Percent of the time since the last look in which a kernel ran.
    pub busy: u32,
    /// Bytes of memory in use, by anybody.
    pub used: u64,
    /// Degrees Celsius.
    pub temperature: u32,
    /// Watts.
    pub power: f64,
    /// Joules since the worker started; `None` where the card does not count them (before Volta).
    pub energy: Option<f64>,
    /// Why its clock is lower than it might be.
    pub throttled: Vec<&'static str>,
}

/// Joules an image: what all cards took since the worker started, over the images that ended. `None` where no card counts
/// its energy, or no image has ended.
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
