//! The fleet in which workers run, and the jobs that start them.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::errors::Class;
use crate::errors::class::Classified;

/// AWS Batch: an array has 2 to 10,000 children (AWS Batch User Guide, "Array jobs").
pub(crate) const ARRAY: std::ops::RangeInclusive<u64> = 2..=10_000;

/// The job queue to which a job is submitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobQueue {
    /// The queue of the preferred machines.
    Primary,
    /// The queue of all other machines of the Spot market.
    Secondary,
    /// The queue of machines on demand, which is used when the Spot market has none.
    Fallback,
}

/// The shape of a job: one worker, or an array of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobShape {
    /// A job that is one worker.
    Plain,
    /// A job that is an array of this number of workers.
    Array(u64),
}

impl JobShape {
    /// Returns the number of workers that the job starts.
    pub fn workers(self) -> u64 {
        match self {
            Self::Plain => 1,
            Self::Array(size) => size,
        }
    }

    /// Tells whether AWS Batch accepts the job.
    pub fn is_legal(self) -> bool {
        match self {
            Self::Plain => true,
            Self::Array(size) => ARRAY.contains(&size),
        }
    }
}

/// An order to start a job. Its name is its identity: a fleet that knows the name already has this job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobOrder {
    /// Name of the job, at most 128 letters, digits and hyphens.
    pub name: String,
    /// Queue of the job.
    pub line: JobQueue,
    /// Number of workers.
    pub workers: u64,
}

impl JobOrder {
    /// Returns the shape of the job.
    pub fn job(&self) -> JobShape {
        if self.workers == 1 { JobShape::Plain } else { JobShape::Array(self.workers) }
    }
}

/// The phase of workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum JobPhase {
    /// The workers have no machine yet.
    Waiting,
    /// The workers run on a machine.
    Working,
    /// The workers have ended.
    Ended,
}

/// The workers of one job that are in the same phase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobProgress {
    /// The job's name.
    pub name: String,
    /// Queue to which the job was submitted.
    pub line: JobQueue,
    /// Phase of the workers.
    pub phase: JobPhase,
    /// Number of workers.
    pub workers: u64,
    /// The fleet's reason why they wait.
    pub reason: Option<String>,
}

impl JobProgress {
    /// Creates the progress of workers without a reason.
    pub fn new(name: &str, line: JobQueue, phase: JobPhase, workers: u64) -> Self {
        Self { name: name.to_owned(), line, phase, workers, reason: None }
    }
}

/// Errors of a fleet.
#[derive(Debug, Clone, thiserror::Error)]
pub enum FleetError {
    /// The fleet refused the job, and started nothing.
    #[error("{0}")]
    Refused(String),
    /// The call failed; a job may or may not have been started.
    #[error("{message}")]
    Failed {
        /// Class of the error.
        class: Class,
        /// Message for a person.
        message: String,
    },
}

impl FleetError {
    /// Tells whether it is certain that nothing was started.
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

/// A fleet that runs workers.
#[async_trait]
pub trait Fleet: Send + Sync {
    /// Lists every worker that has not ended. Each job of `names` that the fleet knows is in the list, ended or not.
    ///
    /// # Errors
    /// [`FleetError::Failed`] when the fleet cannot be read.
    async fn seen(&self, names: &[String]) -> Result<Vec<JobProgress>, FleetError>;
    /// Starts a job. A fleet that knows the job's name starts no second one.
    ///
    /// # Errors
    /// [`FleetError::Refused`] when the fleet started nothing; [`FleetError::Failed`] when the call failed, and the job
    /// may have been started.
    async fn submit(&self, order: &JobOrder) -> Result<(), FleetError>;
    /// Stops the workers that do not leave by themselves. The scaler calls it when no message waits and none is in
    /// flight.
    ///
    /// # Errors
    /// [`FleetError::Failed`] when the fleet cannot be told.
    async fn rest(&self) -> Result<(), FleetError> {
        Ok(())
    }
}
