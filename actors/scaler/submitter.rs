//! Measures a queue and its fleet, and submits the jobs that follow. One submitter works at a time, and nothing is submitted
//! twice.
//!
//! SubmitJob has no client token, so the names of jobs are written down before they are submitted:
//!
//! ```text
//! take the lock   ─► measure ─► look at the fleet ─► plan ─► write the plan down ─► submit ─► give the lock back
//!   (conditional write)                                     (conditional write)               (conditional write)
//! ```
//!
//! A job that is written down counts as running until the fleet shows it, or until it can no longer appear. A submitter that
//! dies, or loses an answer, at any arrow leaves at worst workers that are counted and never come; they stop counting after
//! [`ScalerTimeouts::appear`].

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;

use super::memory::{FleetTally, LockHolder, Memory, Millis, PendingOrder, ScalerTimeouts};
use super::policy::{PlanReason, Policy, PolicyInput, Submission, plan, within};
use super::workers::Workers;
use crate::domain::exit::Remedy;
use crate::errors::class::{Class, Classified};
use crate::ports::cas_object::{CasError, CasObject, CasVersion, write};
use crate::ports::fleet::{Fleet, FleetError, JobOrder};
use crate::ports::queue_metrics::Depth;
use crate::ports::queue_metrics::{QueueMetrics, QueueMetricsError};

/// Longest time for which a submitter holds the lock, and others wait. No call may last longer than [`LOCK_TAIL`].
pub(crate) const LOCK_TIME: Duration = Duration::from_secs(60);
/// Last part of the lock's time, in which nothing is submitted: a call that outlasts the lock could meet the next submitter's.
pub const LOCK_TAIL: Duration = Duration::from_secs(20);

/// A function that reads a clock.
pub(crate) type Clock = Arc<dyn Fn() -> SystemTime + Send + Sync>;

/// Settings of a submitter.
#[derive(Clone, Debug, PartialEq)]
pub struct ScalerSettings {
    /// Name of the workers, as a part of the jobs' names.
    pub name: String,
    /// Policy that decides how many workers there are.
    pub policy: Policy,
    /// Most workers of each queue.
    pub caps: Workers,
    /// Least measured rate that is used; idle workers measure less.
    pub floor: f64,
    /// Timeouts.
    pub patience: ScalerTimeouts,
}

/// The report of a submitter's tick: what it measured, decided and did.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ScalerTick {
    /// Depth of the queue.
    pub depth: Depth,
    /// Messages a second and worker that the plan assumes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<f64>,
    /// The fleet.
    #[serde(flatten)]
    pub tally: FleetTally,
    /// Workers wanted.
    pub want: u64,
    /// Why.
    pub why: PlanReason,
    /// Jobs that were submitted, or would be.
    pub orders: Vec<JobOrder>,
    /// Jobs whose call failed, with the error. A job that may have been started counts as submitted.
    pub failed: Vec<(String, String)>,
}

/// Errors of a tick.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ScalerTickError {
    /// Another submitter holds the lock.
    #[error("{id} submits now, for {}.{:03} s at most", .remaining.as_secs(), .remaining.subsec_millis())]
    Busy {
        /// Id of the other submitter.
        id: String,
        /// Longest remaining time.
        remaining: Duration,
    },
    /// The shared value cannot be parsed.
    #[error(
        "the submitters' shared value cannot be read ({0}): delete it while no submitter runs, and look for jobs that nobody counts"
    )]
    Memory(String),
    /// The shared value cannot be read or written.
    #[error("the submitters' shared value: {0}")]
    CasObject(#[from] CasError),
    /// The queue cannot be measured.
    #[error("the queue: {0}")]
    QueueMetrics(#[from] QueueMetricsError),
    /// The fleet cannot be seen.
    #[error("the fleet: {0}")]
    Fleet(#[from] FleetError),
}

impl Classified for ScalerTickError {
    fn class(&self) -> Class {
        match self {
            Self::Busy { .. } => Class::Transient,
            Self::Memory(_) => Class::Misconfigured(Remedy::Settings),
            Self::CasObject(error) => error.class(),
            Self::QueueMetrics(error) => error.class(),
            Self::Fleet(error) => error.class(),
        }
    }
}

/// Submits jobs for one queue.
#[derive(Clone)]
pub struct Submitter {
    /// Id of the submitter, which no other running one has.
    pub id: String,
    /// Settings.
    pub settings: ScalerSettings,
    /// The shared value.
    pub cell: Arc<dyn CasObject>,
    /// The queue.
    pub gauge: Arc<dyn QueueMetrics>,
    /// The workers.
    pub fleet: Arc<dyn Fleet>,
    /// The time.
    pub clock: Clock,
}

/// The shared value with its version, as it was read or written last.
struct VersionedMemory {
    memory: Memory,
    version: Option<CasVersion>,
}

impl Submitter {
    fn now(&self) -> Millis {
        let since = (self.clock)().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(Millis::MAX)
    }

    async fn read(&self) -> Result<VersionedMemory, ScalerTickError> {
        let Some(held) = self.cell.read().await? else {
            // Job names begin with the time, so that none of the last week comes again where the value is lost.
            let memory = Memory { serial: self.now() / 1000, ..Memory::default() };
            return Ok(VersionedMemory { memory, version: None });
        };
        let memory = serde_json::from_slice(&held.bytes).map_err(|error| ScalerTickError::Memory(error.to_string()))?;
        Ok(VersionedMemory { memory, version: Some(held.version) })
    }

    async fn write(&self, kept: &mut VersionedMemory) -> Result<(), ScalerTickError> {
        kept.memory.revision = kept.memory.revision.wrapping_add(1);
        let bytes = serde_json::to_vec(&kept.memory).map_err(|error| ScalerTickError::Memory(error.to_string()))?;
        kept.version = Some(write(&*self.cell, kept.version.as_ref(), bytes).await?);
        Ok(())
    }

    /// Makes a tick without submitting or changing anything.
    ///
    /// # Errors
    /// The queue, the fleet or the shared value cannot be read.
    pub async fn peek(&self) -> Result<ScalerTick, ScalerTickError> {
        let mut kept = self.read().await?;
        self.plan(&mut kept.memory).await
    }

    /// Makes a tick and submits the jobs of its plan.
    ///
    /// # Errors
    /// Another submitter is at work, or the queue, the fleet or the shared value fails.
    pub async fn tick(&self) -> Result<ScalerTick, ScalerTickError> {
        let mut kept = self.read().await?;
        let now = self.now();
        if let Some(LockHolder { id, until }) = &kept.memory.holder
            && *id != self.id
            && *until > now
            // A holder whose clock is far ahead locks nobody out: safety rests on the conditional writes.
            && *until <= now + 2 * LOCK_TIME.as_millis() as Millis
        {
            return Err(ScalerTickError::Busy { id: id.clone(), remaining: Duration::from_millis(until - now) });
        }
        let until = now + LOCK_TIME.as_millis() as Millis;
        kept.memory.holder = Some(LockHolder { id: self.id.clone(), until });
        self.write(&mut kept).await?;
        let flown = self.fly(&mut kept, until).await;
        kept.memory.holder = None;
        // Where this fails the lock expires.
        let given_back = self.write(&mut kept).await;
        let look = flown?;
        if let Err(error) = given_back {
            tracing::warn!(%error, "scaler.kept_flight");
        }
        Ok(look)
    }

    async fn fly(&self, kept: &mut VersionedMemory, until: Millis) -> Result<ScalerTick, ScalerTickError> {
        let mut look = self.plan(&mut kept.memory).await?;
        if kept.memory.rests(look.depth, self.now(), self.settings.patience) {
            self.fleet.rest().await?;
        }
        if look.orders.is_empty() {
            return Ok(look);
        }
        let (at, serial) = (self.now(), kept.memory.serial);
        kept.memory.serial = serial.wrapping_add(1);
        kept.memory.asked.extend(look.orders.iter().cloned().map(|order| PendingOrder { order, at }));
        if let Err(error) = self.write(kept).await {
            kept.memory.asked.retain(|asked| !look.orders.contains(&asked.order));
            return Err(error);
        }
        let ends = until - LOCK_TAIL.as_millis() as Millis;
        for order in &look.orders {
            let submitted = match self.now() < ends {
                true => self.fleet.submit(order).await,
                false => Err(FleetError::Refused("the flight was over: next time".to_owned())),
            };
            if let Err(error) = submitted {
                if error.is_definite() {
                    kept.memory.asked.retain(|asked| asked.order.name != order.name);
                }
                look.failed.push((order.name.clone(), error.to_string()));
            }
        }
        Ok(look)
    }

    /// Measures the queue, lists the fleet and plans; `memory` takes in the measurements.
    async fn plan(&self, memory: &mut Memory) -> Result<ScalerTick, ScalerTickError> {
        let ScalerSettings { name, policy, caps, floor, patience } = &self.settings;
        let depth = self.gauge.depth().await?;
        let mut policy = *policy;
        let mut rate = None;
        if let Policy::DrainTime(pace) = &mut policy {
            // The rate is queried only where it makes a difference, because metrics cost money.
            if depth.visible + depth.delayed > 0 {
                memory.rate = self.gauge.rate().await.or(memory.rate);
            }
            pace.rate = memory.rate.map_or(pace.rate, |rate| rate.max(*floor));
            rate = Some(pace.rate);
        }
        let seen = self.fleet.seen(&memory.names()).await?;
        let now = self.now();
        let tally = memory.look(&seen, now, *patience);
        // Without machines on demand there is nothing else to do than to go on asking.
        let starving = memory.starving(now, *patience).filter(|_| caps.fallback > 0);
        let plan = plan(&policy, PolicyInput { depth, active: tally.active, caps: *caps, starving });
        let named = |(nth, call): (usize, &Submission)| JobOrder {
            name: format!("{name}-{}-{nth}", memory.serial),
            line: call.line,
            workers: call.job.workers(),
        };
        let calls = within(plan.calls, tally.active, *caps);
        let orders = calls.iter().enumerate().map(named).collect();
        Ok(ScalerTick { depth, rate, tally, want: plan.want, why: plan.why, orders, failed: Vec::new() })
    }
}
