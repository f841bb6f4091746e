//! A fleet and a queue in memory, for submitters: with AWS Batch's rules, a list that lags, and calls that get lost.

use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::{Mutex, MutexGuard};

use crate::errors::Class;
use crate::ports::fleet::JobQueue;
use crate::ports::fleet::JobShape;
use crate::ports::fleet::{Fleet, FleetError, JobOrder, JobPhase, JobProgress};
use crate::ports::queue_metrics::Depth;
use crate::ports::queue_metrics::{QueueMetrics, QueueMetricsError};
use crate::scaler::workers::Workers;
use crate::sim::batch::{Job as SimJob, Jobs, Status};
use crate::sim::call_loss::CallLoss;

const LINES: [(JobQueue, &str); 3] =
    [(JobQueue::Primary, "one"), (JobQueue::Secondary, "two"), (JobQueue::Fallback, "three")];

/// The job queue of a line.
fn queue(line: JobQueue) -> &'static str {
    LINES.iter().find(|(known, _)| *known == line).map_or("", |(_, queue)| queue)
}

/// Both.
#[derive(Clone, Debug)]
pub struct SimFleet {
    jobs: Arc<Mutex<Jobs>>,
    depth: Arc<Mutex<Depth>>,
    /// Which call gets lost.
    pub lost: CallLoss,
}

impl Default for SimFleet {
    fn default() -> Self {
        let queues: Vec<&str> = LINES.iter().map(|(_, queue)| *queue).collect();
        Self { jobs: Arc::new(Mutex::new(Jobs::new(&queues))), depth: Arc::default(), lost: CallLoss::default() }
    }
}

impl SimFleet {
    /// Its jobs.
    pub fn jobs(&self) -> MutexGuard<'_, Jobs> {
        self.jobs.lock()
    }

    /// Sets what waits.
    pub fn fill(&self, depth: Depth) {
        *self.depth.lock() = depth;
    }

    /// Workers that have not ended.
    pub fn active(&self) -> Workers {
        let mut active = Workers::default();
        LINES.iter().for_each(|(line, queue)| active.add(*line, self.jobs().active(queue)));
        active
    }

    fn sighting(line: JobQueue, job: &SimJob, phase: JobPhase) -> JobProgress {
        let of = |status: &Status| match status {
            Status::Submitted | Status::Pending | Status::Runnable => JobPhase::Waiting,
            Status::Starting | Status::Running => JobPhase::Working,
            Status::Succeeded | Status::Failed => JobPhase::Ended,
        };
        let workers = job.workers.iter().filter(|status| of(status) == phase).count() as u64;
        let reason = (phase == JobPhase::Waiting && !job.reason.is_empty()).then(|| job.reason.clone());
        JobProgress { name: job.name.clone(), line, phase, workers, reason }
    }
}

fn failed(class: Class, message: String) -> FleetError {
    FleetError::Failed { class, message }
}

#[async_trait]
impl Fleet for SimFleet {
    async fn seen(&self, names: &[String]) -> Result<Vec<JobProgress>, FleetError> {
        let look = || {
            let mut seen = Vec::new();
            for (line, queue) in LINES {
                let mut jobs = self.jobs();
                for job in jobs.list(queue, None, Some("*")).map_err(FleetError::Refused)? {
                    let phases =
                        [JobPhase::Waiting, JobPhase::Working, JobPhase::Ended].map(|p| Self::sighting(line, job, p));
                    let asked = names.contains(&job.name);
                    seen.extend(
                        phases.into_iter().filter(|one| one.workers > 0 && (one.phase != JobPhase::Ended || asked)),
                    );
                }
            }
            Ok(seen)
        };
        self.lost.call(look, failed).await
    }

    async fn submit(&self, order: &JobOrder) -> Result<(), FleetError> {
        let submit = || {
            let array = match order.job() {
                JobShape::Plain => None,
                JobShape::Array(size) => i64::try_from(size).ok(),
            };
            self.jobs().submit(&order.name, queue(order.line), array).map(drop).map_err(FleetError::Refused)
        };
        self.lost.call(submit, failed).await
    }
}

#[async_trait]
impl QueueMetrics for SimFleet {
    async fn depth(&self) -> Result<Depth, QueueMetricsError> {
        let read = || Ok(*self.depth.lock());
        self.lost.call(read, |class, message| QueueMetricsError { class, message }).await
    }

    async fn rate(&self) -> Option<f64> {
        None
    }
}
