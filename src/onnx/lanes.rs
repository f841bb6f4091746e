//! The lanes of this machine: one engine beside the other, each on its own thread.

use std::sync::Arc;

use muster_actors::ports::engine::{Engine, EngineError};

use super::engine::{OnnxEngine, Options};
use super::home::Home;
use super::pack::Pack;
use super::tally::{Tally, TensorRuns};

/// Engines that share nothing but a tally.
pub struct Lanes {
    engines: Vec<Arc<dyn Engine>>,
    tally: Tally,
}

impl Lanes {
    /// Starts `count` lanes; 0 means one a CPU core.
    pub fn start(pack: &Pack, home: &Home, options: Options, count: usize) -> Result<Self, EngineError> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let tally = Tally::default();
        let engines = (0..if count == 0 { cores } else { count })
            .map(|_| Ok(Arc::new(OnnxEngine::start(pack, home, options, tally.clone())?) as Arc<dyn Engine>))
            .collect::<Result<_, EngineError>>()?;
        Ok(Self { engines, tally })
    }

    /// Lanes of other engines, which count nothing.
    #[cfg(feature = "chaos")]
    pub fn of(engines: Vec<Arc<dyn Engine>>) -> Self {
        Self { engines, tally: Tally::default() }
    }

    /// The engines, as the pipeline takes them.
    pub fn engines(&self) -> Vec<Arc<dyn Engine>> {
        self.engines.clone()
    }

    /// What the models run, as they run it.
    pub fn tally(&self) -> Tally {
        self.tally.clone()
    }

    /// What the models ran so far.
    pub fn tensors(&self) -> Vec<TensorRuns> {
        self.tally.runs()
    }
}
