//! Counts the runs of the models by input shape, with their time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

/// Counts runs by model and input shape; shared by the models of one or many lanes.
#[derive(Clone, Debug, Default)]
pub struct Tally(Arc<Mutex<Runs>>);

type Runs = BTreeMap<(String, [usize; 4]), (u64, Duration)>;

/// All runs of one model with one input shape.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TensorRuns {
    /// Name of the model's file.
    pub model: String,
    /// Shape of the input: batch, channels, height, width.
    pub shape: [usize; 4],
    /// Number of runs.
    pub count: u64,
    /// Seconds of wall time inside the runtime, summed over lanes.
    pub seconds: f64,
}

impl Tally {
    /// Counts one run.
    pub fn add(&self, model: &str, shape: [usize; 4], took: Duration) {
        let mut runs = self.0.lock();
        let entry = runs.entry((model.to_owned(), shape)).or_default();
        *entry = (entry.0 + 1, entry.1 + took);
    }

    /// Returns the number of runs of a model so far, and their seconds inside the runtime.
    pub fn of(&self, model: &str) -> (u64, f64) {
        let runs = self.0.lock();
        let own = runs.iter().filter(|((name, _), _)| name == model);
        own.fold((0, 0.0), |(runs, seconds), (_, (count, took))| (runs + count, seconds + took.as_secs_f64()))
    }

    /// Returns all runs so far, by model and shape.
    pub fn runs(&self) -> Vec<TensorRuns> {
        let runs = self.0.lock();
        runs.iter()
            .map(|((model, shape), (count, took))| TensorRuns {
                model: model.clone(),
                shape: *shape,
                count: *count,
                seconds: took.as_secs_f64(),
            })
            .collect()
    }
}
