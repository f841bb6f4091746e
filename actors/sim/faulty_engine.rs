//! An engine that fails as its script says. It wraps any engine, a simulated or a real one.

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
use crate::sim::script::{DeviceFault, FaultScript};

/// A batch that a device was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineCall {
    /// How long after the device was made.
    pub at: Duration,
    /// The numbers that its images begin with.
    pub images: Vec<u64>,
    /// What befell it.
    pub fault: Option<DeviceFault>,
}

struct State {
    script: FaultScript,
    rng: ChaCha8Rng,
    /// What it has not got over.
    condition: Option<DeviceFault>,
    calls: Vec<EngineCall>,
}

/// An engine with faults.
#[derive(Clone)]
pub(crate) struct FaultyEngine {
    inner: Arc<dyn Engine>,
    began: Instant,
    state: Arc<Mutex<State>>,
}

/// What `frames` befalls now.
fn strike(state: &mut State, images: &[u64], after: Duration) -> Option<DeviceFault> {
    let call = state.calls.len() as u64;
    let script = &state.script;
    if script.memory(after).is_some_and(|most| images.len() > most) {
        return Some(DeviceFault::OutOfMemory);
    }
    let batch = script.batches.iter().find(|(at, _)| *at == call).map(|(_, fault)| *fault);
    let image = || script.images.iter().find(|(image, _)| images.contains(image)).map(|(_, fault)| *fault);
    if let Some(fault) = batch.or_else(image) {
        return Some(fault);
    }
    let rng = &mut state.rng;
    script.chances.iter().find(|(chance, _)| rng.random_bool(chance.clamp(0.0, 1.0))).map(|(_, fault)| *fault)
}

impl FaultyEngine {
    /// `inner`, with the faults of `script`.
    pub(crate) fn new(inner: Arc<dyn Engine>, script: FaultScript) -> Self {
        let rng = ChaCha8Rng::seed_from_u64(script.seed);
        let state = State { script, rng, condition: None, calls: Vec::new() };
        Self { inner, began: Instant::now(), state: Arc::new(Mutex::new(state)) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// What it was asked for.
    pub(crate) fn calls(&self) -> Vec<EngineCall> {
        self.lock().calls.clone()
    }

    /// What has befallen it.
    pub(crate) fn struck(&self) -> BTreeSet<DeviceFault> {
        self.lock().calls.iter().filter_map(|call| call.fault).collect()
    }

    fn begin(&self, frames: &[Arc<Frame>]) -> Option<DeviceFault> {
        let images: Vec<u64> = frames.iter().map(|frame| read(&frame.source) as u64).collect();
        let at = self.began.elapsed();
        let mut state = self.lock();
        let fault = state.condition.or_else(|| strike(&mut state, &images, at));
        state.condition = fault.filter(|fault| fault.stays());
        state.calls.push(EngineCall { at, images, fault });
        fault
    }
}

#[async_trait]
impl Engine for FaultyEngine {
    async fn analyse(&self, frames: Vec<Arc<Frame>>) -> Result<Vec<Analysis>, EngineError> {
        let injected = || String::from("injected");
        match self.begin(&frames) {
            None => self.inner.analyse(frames).await,
            Some(DeviceFault::Slow(time)) => {
                sleep(time).await;
                self.inner.analyse(frames).await
            }
            Some(DeviceFault::Miscount) => {
                let mut analyses = self.inner.analyse(frames).await?;
                analyses.pop();
                Ok(analyses)
            }
            Some(DeviceFault::Hang) => std::future::pending().await,
            Some(DeviceFault::OutOfMemory) => Err(EngineError::OutOfMemory(injected())),
            Some(DeviceFault::Sticky | DeviceFault::Dead | DeviceFault::Unloadable) => {
                Err(EngineError::Sticky(injected()))
            }
            Some(DeviceFault::Gone) => Err(EngineError::Gone),
            Some(DeviceFault::CallLoss) => Err(EngineError::DeviceLost(injected())),
        }
    }

    async fn rebuild(&self) -> Result<(), EngineError> {
        let condition = self.lock().condition;
        match condition {
            Some(DeviceFault::CallLoss) => return Err(EngineError::DeviceLost(String::from("injected"))),
            Some(DeviceFault::Unloadable) => return Err(EngineError::Sticky(String::from("injected"))),
            Some(
                DeviceFault::Dead
                | DeviceFault::Sticky
                | DeviceFault::Gone
                | DeviceFault::OutOfMemory
                | DeviceFault::Hang
                | DeviceFault::Miscount
                | DeviceFault::Slow(_),
            )
            | None => {}
        }
        self.inner.rebuild().await?;
        let mut state = self.lock();
        state.condition = state.condition.filter(|fault| *fault == DeviceFault::Dead);
        Ok(())
    }

    fn max_batch_size(&self) -> Option<usize> {
        self.lock().script.room.or_else(|| self.inner.max_batch_size())
    }
}
