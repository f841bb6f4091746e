//! Where workers run.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::errors::Class;
use crate::errors::class::Classified;

/// AWS Batch: an array has 2 to 10,000 children (AWS Batch User Guide, "Array jobs").
pub(crate) const ARRAY: std::ops::RangeInclusive<u64> = 2..=10_000;

/// Where a job is submitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobQueue {
    /// The queue of the preferred machines.
    Primary,
    /// The queue of all other machines of the Spot market.
    Secondary,
    /// The queue of machines on demand, for when the Spot market has none.
    Fallback,
}

/// What is submitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobShape {
    /// One worker.
    Plain,
    /// So many, as children of one array.
    Array(u64),
}

impl JobShape {
    /// How many workers it starts.
    pub fn workers(self) -> u64 {
        match self {
            Self::Plain => 1,
            Self::Array(size) => size,
        }
    }

    /// Whether AWS Batch takes it.
    pub fn is_legal(self) -> bool {
        match self {
            Self::Plain => true,
            Self::Array(size) => ARRAY.contains(&size),
        }
    }
}

/// A job that is asked for. Its name is its identity: a fleet that knows the name already has this job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobOrder {
    /// 128 letters, digits and hyphens at most.
    pub name: String,
    /// Where.
    pub line: JobQueue,
    /// Workers.
    pub workers: u64,
}

impl JobOrder {
    /// What is submitted.
    pub fn job(&self) -> JobShape {
        if self.workers == 1 { JobShape::Plain } else { JobShape::Array(self.workers) }
    }
}

/// How far workers are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum JobPhase {
    /// Asked for; no machine yet.
    Waiting,
    /// On a machine.
    Working,
    /// Over.
    Ended,
}

/// Workers of one job that are equally far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobProgress {
    /// The job's name.
    pub name: String,
    /// Where it was submitted.
    pub line: JobQueue,
    /// How far they are.
    pub phase: JobPhase,
    /// How many.
    pub workers: u64,
    /// Why they wait, as the fleet puts it.
    pub reason: Option<String>,
}

impl JobProgress {
    /// Workers of which the fleet says nothing else.
    pub fn new(name: &str, line: JobQueue, phase: JobPhase, workers: u64) -> Self {
        Self { name: name.to_owned(), line, phase, workers, reason: None }
    }
}

/// A call failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum FleetError {
    /// The fleet will not have this job: nothing was started.
    #[error("{0}")]
    Refused(String),
    /// Something else failed; a job may or may not have been started.
    #[error("{message}")]
    Failed {
        /// Its class.
        class: Class,
        /// For a person.
        message: String,
    },
}

impl FleetError {
    /// Whether nothing was started for certain.
    pub fn is_definite(&self) -> bool {
        match self {
            Self::Refused(_) | Self::Failed { class: Class::Misconfigured(_) | Class::Throttled { .. }, .. } => true,
            Self::Failed { .. } => false,
        }
    }
}

impl Classified for FleetError {
    fn class(&self) -> Class {
        match self {
            Self::Refused(_) => Class::Bug,
            Self::Failed { class, .. } => *class,
        }
    }
}

/// A place where workers run.
#[async_trait]
pub trait Fleet: Send + Sync {
    /// Every worker that has not ended; of the jobs in `names` at least one sighting each that the fleet knows, ended or not.
    async fn seen(&self, names: &[String]) -> Result<Vec<JobProgress>, FleetError>;
    /// Starts a job.
    async fn submit(&self, order: &JobOrder) -> Result<(), FleetError>;
    /// Nothing waits and nothing is held: lets go the workers that do not leave by themselves.
    async fn rest(&self) -> Result<(), FleetError> {
        Ok(())
    }
}
