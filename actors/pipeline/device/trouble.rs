//! Handles a failing engine: it halves batches, rebuilds and tests the engine, and runs images alone; or the device
//! retires, or the run ends.

use std::time::Duration;

use tokio::time::timeout;

use crate::domain::image::{RejectReason, Rejection};
use crate::errors::class::Classified;
use crate::errors::route::{ALONE, FatalReason, Proof, Strategy, route};
use crate::errors::{Class, History};
use crate::pipeline::device::run::{Runner, Stop, Tried};
use crate::ports::engine::EngineError;

impl Runner {
    /// Handles a batch that failed as a whole.
    pub(super) async fn failed(&mut self, mut batch: Vec<Tried>, error: &EngineError) -> Result<(), Stop> {
        let class = error.class();
        if class == Class::Overload {
            self.context().stats.note(|p| p.out_of_memory += 1);
        }
        let count = batch.len();
        let mut attempts = 0;
        if let [(tried, _)] = batch.as_mut_slice() {
            *tried += u32::from(class == Class::Engine);
            attempts = *tried;
        }
        self.put_back(batch);
        let alone = (class == Class::Engine && attempts >= ALONE) || (class == Class::Overload && count == 1);
        let proof = if alone && self.rebuilt { self.prove(class).await? } else { Proof::None };
        // The other devices are counted last, because one may have died while this engine was tested.
        let history = History { attempts, batch: count, rebuilt: self.rebuilt, proof, ..self.history() };
        let batch: Vec<Tried> = self.pending.drain(..count).collect();
        let strategy = route(class, &history);
        tracing::warn!(%error, batch = count, ?strategy, "device.fail");
        match strategy {
            Strategy::Halve => {
                self.learnt.size.halve(count);
                self.put_back(batch);
                Ok(())
            }
            Strategy::Rebuild => {
                self.rebuilt = true;
                self.one_by_one |= class == Class::Engine;
                self.put_back(batch);
                self.rebuild().await
            }
            Strategy::SetAside => {
                self.pending.extend(batch);
                self.rebuild().await
            }
            Strategy::Isolate => {
                for (_, decoded) in batch {
                    let rejection = Rejection::new(RejectReason::Isolated, format!("alone on the device: {error}"));
                    self.links.results.finish(decoded.rejected(rejection, &self.context().settings.model)).await;
                }
                // The next failing image may cause a rebuild of its own.
                self.rebuilt = class == Class::Engine;
                Ok(())
            }
            Strategy::Retire => {
                self.put_back(batch);
                Err(self.retire(class, error))
            }
            Strategy::Leave(reason) => {
                self.put_back(batch);
                Err(self.end_run(reason, &error.to_string()))
            }
            Strategy::Retry
            | Strategy::Await
            | Strategy::Brake(_)
            | Strategy::Release
            | Strategy::Reject
            | Strategy::RunAlone
            | Strategy::Drop
            | Strategy::Restart => {
                for (_, decoded) in batch {
                    self.links.tools.fail(decoded.item.lease);
                }
                Ok(())
            }
        }
    }

    /// Returns what the router needs to know about this device and its items.
    fn history(&self) -> History {
        let doubted = |(_, decoded): &Tried| decoded.item.suspect || decoded.item.deaths > 0;
        let (others, doubted) = (self.context().other_devices(), self.pending.iter().any(doubted));
        History { others, doubted, ..History::default() }
    }

    /// Ends the run because of this device.
    fn end_run(&self, reason: FatalReason, message: &str) -> Stop {
        if reason == FatalReason::HostFault {
            self.context().stats.note(|p| p.devices_lost += 1);
        }
        self.links.tools.end_run(reason, message);
        match reason {
            FatalReason::Engine | FatalReason::Hang => Stop::Blamed,
            // No image is at fault when a device is lost.
            FatalReason::HostFault | FatalReason::DependencyDown | FatalReason::Misconfigured(_) => Stop::Over,
        }
    }

    /// Retires this device; the others go on. All actors share a thread, so the number of other devices cannot have
    /// changed since it was read.
    fn retire(&mut self, class: Class, error: &EngineError) -> Stop {
        self.context().stats.note(|p| p.devices_lost += 1);
        // Any of them may have broken the engine.
        self.pending.iter_mut().for_each(|(_, decoded)| decoded.item.suspect |= class != Class::HostFault);
        tracing::warn!(reason = %error, device = self.links.number, given_back = self.pending.len(), "device.retire");
        Stop::Retire
    }

    /// Runs a frame that ran well before, on a new engine where this one broke, to find out whether the engine or the
    /// image is at fault.
    async fn prove(&mut self, class: Class) -> Result<Proof, Stop> {
        if class == Class::Engine {
            self.rebuild().await?;
        }
        let Some(good) = self.learnt.good.clone() else { return Ok(Proof::None) };
        match self.call(vec![good]).await? {
            Ok(_) => Ok(Proof::Works),
            Err(EngineError::OutOfMemory(_) | EngineError::Gone | EngineError::Sticky(_)) => Ok(Proof::Broken),
            Err(error @ (EngineError::DeviceLost(_) | EngineError::Misconfigured(_))) => {
                Err(self.broken("proof", &error))
            }
        }
    }

    pub(super) fn put_back(&mut self, batch: Vec<Tried>) {
        batch.into_iter().rev().for_each(|tried| self.pending.push_front(tried));
    }

    async fn rebuild(&mut self) -> Result<(), Stop> {
        self.context().stats.note(|p| p.rebuilds += 1);
        let limit = self.context().settings.timeouts.rebuild;
        let busy = self.links.tools.heartbeat.busy();
        let rebuilt = timeout(limit, self.engine.rebuild()).await;
        drop(busy);
        match rebuilt {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(self.broken("rebuild", &error)),
            Err(_) => Err(self.hang(limit)),
        }
    }

    /// Handles a device that cannot load its models, or cannot run a frame that it ran before.
    fn broken(&mut self, what: &str, error: &EngineError) -> Stop {
        let history = History { attempts: ALONE, rebuilt: true, proof: Proof::Broken, ..self.history() };
        let reason = match route(error.class(), &history) {
            Strategy::Retire => return self.retire(error.class(), error),
            Strategy::Leave(reason) => reason,
            _ => FatalReason::Engine,
        };
        self.end_run(reason, &format!("{what}: {error}"))
    }

    /// Reports that the engine hangs.
    pub(super) fn hang(&self, limit: Duration) -> Stop {
        let message = format!("the engine did not answer for {limit:?}");
        if let Strategy::Leave(reason) = route(Class::Hang, &History::default()) {
            self.links.tools.end_run(reason, &message);
        }
        Stop::Blamed
    }
}
