//! One look at a queue and its fleet, and what follows: one submitter at a time, nothing submitted twice.
//!
//! SubmitJob has no client token, so a job that was asked for must be known by its name, before it is asked for:
//!
//! ```text
//! take the flight ─► measure ─► look at the fleet ─► plan ─► write the plan down ─► submit ─► give the flight back
//!   (conditional write)                                     (conditional write)               (conditional write)
//! ```
//!
//! What is written down counts as there until the fleet shows it, or until so much time has passed that it cannot come any
//! more. A submitter that dies, or whose answer is lost, at any arrow leaves at worst workers that are counted and never
//! come; their place is free again after [`Patience::appear`].

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;

use super::memory::{Asked, Holder, Memory, Millis, Patience, Tally};
use super::policy::{Policy, Situation, Submission, Why, plan, within};
use super::workers::Workers;
use crate::domain::exit::Remedy;
use crate::errors::class::{Class, Classified};
use crate::ports::cas_object::{CasError, CasObject, CasVersion, write};
use crate::ports::fleet::{Fleet, FleetError, JobOrder};
use crate::ports::queue_metrics::Depth;
use crate::ports::queue_metrics::{QueueMetrics, QueueMetricsError};

/// A flight is never longer; others wait for so long at most. No call may last longer than [`ENDS`].
pub(crate) const FLIGHT: Duration = Duration::from_secs(60);
/// Nothing is submitted in the last part of a flight: a call that is on its way when the flight is over could meet the next.
pub const ENDS: Duration = Duration::from_secs(20);

/// Reads a clock.
pub(crate) type Clock = Arc<dyn Fn() -> SystemTime + Send + Sync>;

/// How a submitter decides.
#[derive(Clone, Debug, PartialEq)]
pub struct ScalerSettings {
    /// Which workers, as part of the jobs' names.
    pub name: String,
    /// Which rule.
    pub policy: Policy,
    /// Workers at most.
    pub caps: Workers,
    /// A measured rate below it is not believed: idle workers measure little.
    pub floor: f64,
    /// How long what is waited for.
    pub patience: Patience,
}

/// What a look saw and did.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Look {
    /// What waits.
    pub depth: Depth,
    /// Messages a second and worker that the plan counts with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<f64>,
    /// The fleet.
    #[serde(flatten)]
    pub tally: Tally,
    /// Workers wanted.
    pub want: u64,
    /// Why.
    pub why: Why,
    /// Jobs that were submitted, or would be.
    pub orders: Vec<JobOrder>,
    /// Those whose call failed: what is not certain counts as submitted.
    pub failed: Vec<(String, String)>,
}

/// Why there was no look.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LookError {
    /// Somebody else submits.
    #[error("{id} submits now, for {}.{:03} s at most", .remaining.as_secs(), .remaining.subsec_millis())]
    Busy {
        /// Who.
        id: String,
        /// How long at most.
        remaining: Duration,
    },
    /// The shared value is none of ours.
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

impl Classified for LookError {
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

/// A submitter.
#[derive(Clone)]
pub struct Submitter {
    /// Its name among others: no two that live have the same.
    pub id: String,
    /// How it decides.
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

/// The shared value as it was read or written last.
struct Kept {
    memory: Memory,
    version: Option<CasVersion>,
}

impl Submitter {
    fn now(&self) -> Millis {
        let since = (self.clock)().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(Millis::MAX)
    }

    async fn read(&self) -> Result<Kept, LookError> {
        let Some(held) = self.cell.read().await? else {
            // Names of jobs go on from the time: where the value is lost, none of the last week comes again.
            let memory = Memory { serial: self.now() / 1000, ..Memory::default() };
            return Ok(Kept { memory, version: None });
        };
        let memory = serde_json::from_slice(&held.bytes).map_err(|error| LookError::Memory(error.to_string()))?;
        Ok(Kept { memory, version: Some(held.version) })
    }

    async fn write(&self, kept: &mut Kept) -> Result<(), LookError> {
        kept.memory.revision = kept.memory.revision.wrapping_add(1);
        let bytes = serde_json::to_vec(&kept.memory).map_err(|error| LookError::Memory(error.to_string()))?;
        kept.version = Some(write(&*self.cell, kept.version.as_ref(), bytes).await?);
        Ok(())
    }

    /// Looks and says what would follow. Nothing is changed.
    pub async fn peek(&self) -> Result<Look, LookError> {
        let mut kept = self.read().await?;
        self.plan(&mut kept.memory).await
    }

    /// Looks and does what follows.
    pub async fn tick(&self) -> Result<Look, LookError> {
        let mut kept = self.read().await?;
        let now = self.now();
        if let Some(Holder { id, until }) = &kept.memory.holder
            && *id != self.id
            && *until > now
            // A clock that is far ahead of ours locks nobody out: what is safe rests on the conditional writes.
            && *until <= now + 2 * FLIGHT.as_millis() as Millis
        {
            return Err(LookError::Busy { id: id.clone(), remaining: Duration::from_millis(until - now) });
        }
        let until = now + FLIGHT.as_millis() as Millis;
        kept.memory.holder = Some(Holder { id: self.id.clone(), until });
        self.write(&mut kept).await?;
        let flown = self.fly(&mut kept, until).await;
        kept.memory.holder = None;
        // Where this fails the flight ends by itself.
        let given_back = self.write(&mut kept).await;
        let look = flown?;
        if let Err(error) = given_back {
            tracing::warn!(%error, "scaler.kept_flight");
        }
        Ok(look)
    }

    async fn fly(&self, kept: &mut Kept, until: Millis) -> Result<Look, LookError> {
        let mut look = self.plan(&mut kept.memory).await?;
        if kept.memory.rests(look.depth, self.now(), self.settings.patience) {
            self.fleet.rest().await?;
        }
        if look.orders.is_empty() {
            return Ok(look);
        }
        let (at, serial) = (self.now(), kept.memory.serial);
        kept.memory.serial = serial.wrapping_add(1);
        kept.memory.asked.extend(look.orders.iter().cloned().map(|order| Asked { order, at }));
        if let Err(error) = self.write(kept).await {
            kept.memory.asked.retain(|asked| !look.orders.contains(&asked.order));
            return Err(error);
        }
        let ends = until - ENDS.as_millis() as Millis;
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

    /// Measures, looks and decides; `memory` takes in what was seen.
    async fn plan(&self, memory: &mut Memory) -> Result<Look, LookError> {
        let ScalerSettings { name, policy, caps, floor, patience } = &self.settings;
        let depth = self.gauge.depth().await?;
        let mut policy = *policy;
        let mut rate = None;
        if let Policy::DrainTime(pace) = &mut policy {
            // Asked for only where it makes a difference: metrics cost money.
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
        let plan = plan(&policy, Situation { depth, active: tally.active, caps: *caps, starving });
        let named = |(nth, call): (usize, &Submission)| JobOrder {
            name: format!("{name}-{}-{nth}", memory.serial),
            line: call.line,
            workers: call.job.workers(),
        };
        let calls = within(plan.calls, tally.active, *caps);
        let orders = calls.iter().enumerate().map(named).collect();
        Ok(Look { depth, rate, tally, want: plan.want, why: plan.why, orders, failed: Vec::new() })
    }
}
