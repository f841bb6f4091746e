//! A device that fails as its script says: wraps any engine, a simulated or a real one.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::{Mutex, MutexGuard};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tokio::time::{Instant, sleep};

use crate::domain::image::Frame;
use crate::ports::engine::{Analysis, Engine, EngineError};
use crate::sim::images::read;
use crate::sim::script::{Fault, Script};

/// A batch that a device was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// How long after the device was made.
    pub at: Duration,
    /// The numbers that its images begin with.
    pub images: Vec<u64>,
    /// What befell it.
    pub fault: Option<Fault>,
}

struct State {
    script: Script,
    rng: ChaCha8Rng,
    /// What it has not got over.
    condition: Option<Fault>,
    calls: Vec<Call>,
}

/// An engine with faults.
#[derive(Clone)]
pub(crate) struct Faulty {
    inner: Arc<dyn Engine>,
    began: Instant,
    state: Arc<Mutex<State>>,
}

/// What `frames` befalls now.
fn strike(state: &mut State, images: &[u64], after: Duration) -> Option<Fault> {
    let call = state.calls.len() as u64;
    let script = &state.script;
    if script.memory(after).is_some_and(|most| images.len() > most) {
        return Some(Fault::OutOfMemory);
    }
    let batch = script.batches.iter().find(|(at, _)| *at == call).map(|(_, fault)| *fault);
    let image = || script.images.iter().find(|(image, _)| images.contains(image)).map(|(_, fault)| *fault);
    if let Some(fault) = batch.or_else(image) {
        return Some(fault);
    }
    let rng = &mut state.rng;
    script.chances.iter().find(|(chance, _)| rng.random_bool(chance.clamp(0.0, 1.0))).map(|(_, fault)| *fault)
}

impl Faulty {
    /// `inner`, with the faults of `script`.
    pub(crate) fn new(inner: Arc<dyn Engine>, script: Script) -> Self {
        let rng = ChaCha8Rng::seed_from_u64(script.seed);
        let state = State { script, rng, condition: None, calls: Vec::new() };
        Self { inner, began: Instant::now(), state: Arc::new(Mutex::new(state)) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// What it was asked for.
    pub(crate) fn calls(&self) -> Vec<Call> {
        self.lock().calls.clone()
    }

    /// What has befallen it.
    pub(crate) fn struck(&self) -> BTreeSet<Fault> {
        self.lock().calls.iter().filter_map(|call| call.fault).collect()
    }

    fn begin(&self, frames: &[Arc<Frame>]) -> Option<Fault> {
        let images: Vec<u64> = frames.iter().map(|frame| read(&frame.source) as u64).collect();
        let at = self.began.elapsed();
        let mut state = self.lock();
        let fault = state.condition.or_else(|| strike(&mut state, &images, at));
        state.condition = fault.filter(|fault| fault.stays());
        state.calls.push(Call { at, images, fault });
        fault
    }
}

#[async_trait]
impl Engine for Faulty {
    async fn analyse(&self, frames: Vec<Arc<Frame>>) -> Result<Vec<Analysis>, EngineError> {
        let injected = || String::from("injected");
        match self.begin(&frames) {
            None => self.inner.analyse(frames).await,
            Some(Fault::Slow(time)) => {
                sleep(time).await;
                self.inner.analyse(frames).await
            }
            Some(Fault::Miscount) => {
                let mut analyses = self.inner.analyse(frames).await?;
                analyses.pop();
                Ok(analyses)
            }
            Some(Fault::Hang) => std::future::pending().await,
            Some(Fault::OutOfMemory) => Err(EngineError::OutOfMemory(injected())),
            Some(Fault::Sticky | Fault::Dead | Fault::Unloadable) => Err(EngineError::Sticky(injected())),
            Some(Fault::Gone) => Err(EngineError::Gone),
            Some(Fault::Lost) => Err(EngineError::DeviceLost(injected())),
        }
    }

    async fn rebuild(&self) -> Result<(), EngineError> {
        let condition = self.lock().condition;
        match condition {
            Some(Fault::Lost) => return Err(EngineError::DeviceLost(String::from("injected"))),
            Some(Fault::Unloadable) => return Err(EngineError::Sticky(String::from("injected"))),
            Some(
                Fault::Dead
                | Fault::Sticky
                | Fault::Gone
                | Fault::OutOfMemory
                | Fault::Hang
                | Fault::Miscount
                | Fault::Slow(_),
            )
            | None => {}
        }
        self.inner.rebuild().await?;
        let mut state = self.lock();
        state.condition = state.condition.filter(|fault| *fault == Fault::Dead);
        Ok(())
    }

    fn max_batch_size(&self) -> Option<usize> {
        self.lock().script.room.or_else(|| self.inner.max_batch_size())
    }
}
