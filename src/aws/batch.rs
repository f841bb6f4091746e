//! Implements the port `Fleet`: runs workers as jobs of AWS Batch.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use aws_sdk_batch::Client;
use aws_sdk_batch::config::retry::RetryConfig;
use aws_sdk_batch::types::{ArrayProperties, JobStatus, JobSummary, KeyValuesPair};
use muster_actors::ports::fleet::JobQueue;
use muster_actors::ports::fleet::JobShape;
use muster_actors::ports::fleet::{Fleet, FleetError, JobOrder, JobPhase, JobProgress};

use super::classify::fault;
use super::clients::{Clients, address};
use muster_config::Settings;

/// Most jobs of one DescribeJobs call.
const DESCRIBED: usize = 100;
/// Most jobs on one page of a list.
const PAGE: i32 = 100;
/// Age by which every job has ended, because its queue cancelled it or its own time limit was reached.
const OLDEST: Duration = Duration::from_secs(48 * 3600);

/// The jobs of one job definition.
#[derive(Clone, Debug)]
pub struct BatchFleet {
    client: Client,
    /// Prefix of the names of its jobs.
    prefix: String,
    definition: String,
    queues: Vec<(JobQueue, String)>,
}

/// The parent job of an array.
struct Array {
    id: String,
    name: String,
    size: u64,
}

impl BatchFleet {
    /// Creates a fleet of jobs of `definition` whose names begin with `prefix`, in the queues of the settings.
    pub fn new(clients: &Clients, settings: &Settings, prefix: &str, definition: &str) -> Self {
        let mut config = aws_sdk_batch::config::Builder::from(&clients.config);
        if let Some(url) = address(&settings.batch.endpoint, settings) {
            config = config.endpoint_url(url);
        }
        let lines = [
            (JobQueue::Primary, &settings.batch.primary_queue),
            (JobQueue::Secondary, &settings.batch.secondary_queue),
            (JobQueue::Fallback, &settings.batch.fallback_queue),
        ];
        let queues = lines.into_iter().filter(|(_, queue)| !queue.is_empty());
        Self {
            client: Client::from_conf(config.build()),
            prefix: format!("{prefix}-"),
            definition: definition.to_owned(),
            queues: queues.map(|(line, queue)| (line, queue.clone())).collect(),
        }
    }

    /// Lists all jobs of this fleet in a queue, running and ended ones. It filters by time, because such a list
    /// contains every status. With one list for each status, an interrupted job could move back between two lists and
    /// be missed.
    async fn list(&self, queue: &str) -> Result<Vec<JobSummary>, FleetError> {
        let since = SystemTime::now() - OLDEST;
        let since = since.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis().to_string();
        let since = KeyValuesPair::builder().name("AFTER_CREATED_AT").values(since).build();
        let (mut all, mut token) = (Vec::new(), None);
        loop {
            let asked = self.client.list_jobs().job_queue(queue).filters(since.clone()).max_results(PAGE);
            let answer =
                asked.set_next_token(token).send().await.map_err(|error| fault("ListJobs", &error).of_read())?;
            let ours = |job: &JobSummary| job.job_name().is_some_and(|name| name.starts_with(&self.prefix));
            all.extend(answer.job_summary_list.unwrap_or_default().into_iter().filter(ours));
            token = answer.next_token;
            if token.is_none() {
                return Ok(all);
            }
        }
    }

    /// Counts the children of each array that wait and that work, in the order of `arrays`.
    async fn children(&self, arrays: &[Array]) -> Result<Vec<(u64, u64)>, FleetError> {
        let mut all = Vec::new();
        for some in arrays.chunks(DESCRIBED) {
            let ids = some.iter().map(|array| array.id.clone()).collect();
            let asked = self.client.describe_jobs().set_jobs(Some(ids));
            let answer = asked.send().await.map_err(|error| fault("DescribeJobs", &error).of_read())?;
            let jobs = answer.jobs.unwrap_or_default();
            for array in some {
                let job = jobs.iter().find(|job| job.job_id.as_ref() == Some(&array.id));
                let summary = job.and_then(|job| job.array_properties.as_ref()?.status_summary.clone());
                // If the answer has no counts, no child is known to have ended.
                let summary = summary.unwrap_or_default();
                let of = |wanted: JobPhase| -> u64 {
                    let counts =
                        summary.iter().filter(|(status, _)| phase(Some(&JobStatus::from(status.as_str()))) == wanted);
                    counts.map(|(_, count)| u64::try_from(*count).unwrap_or(0)).sum()
                };
                let (working, ended) = (of(JobPhase::Working), of(JobPhase::Ended));
                // Children that have no status yet are about to be started.
                all.push((array.size.saturating_sub(working + ended), working));
            }
        }
        Ok(all)
    }

    /// Returns the reason why the children of an array wait.
    async fn reason(&self, id: &str) -> Result<Option<String>, FleetError> {
        let asked = self.client.list_jobs().array_job_id(id).job_status(JobStatus::Runnable).max_results(PAGE);
        let answer = asked.send().await.map_err(|error| fault("ListJobs", &error).of_read())?;
        let children = answer.job_summary_list.unwrap_or_default();
        Ok(children.into_iter().filter_map(|child| child.status_reason).find(|reason| !reason.is_empty()))
    }

    async fn line(&self, line: JobQueue, queue: &str, names: &[String]) -> Result<Vec<JobProgress>, FleetError> {
        let jobs = self.list(queue).await?;
        let mut seen = Vec::new();
        let mut arrays: Vec<Array> = Vec::new();
        for job in jobs {
            let (name, phase) = (job.job_name.unwrap_or_default(), phase(job.status.as_ref()));
            let size = job.array_properties.as_ref().and_then(|array| array.size);
            if phase == JobPhase::Ended {
                if names.contains(&name) {
                    seen.push(JobProgress::new(&name, line, phase, 0));
                }
            } else if let Some(size) = size {
                let size = u64::try_from(size).unwrap_or(0);
                arrays.push(Array { id: job.job_id.unwrap_or_default(), name, size });
            } else {
                let reason = job.status_reason.filter(|reason| phase == JobPhase::Waiting && !reason.is_empty());
                seen.push(JobProgress { name, line, phase, workers: 1, reason });
            }
        }
        let children = self.children(&arrays).await?;
        for (Array { id, name, .. }, (waiting, working)) in arrays.into_iter().zip(children) {
            let reason = if waiting > 0 { self.reason(&id).await? } else { None };
            let waiting = JobProgress { reason, ..JobProgress::new(&name, line, JobPhase::Waiting, waiting) };
            seen.extend([waiting, JobProgress::new(&name, line, JobPhase::Working, working)]);
        }
        Ok(seen)
    }
}

/// Converts a status into a phase. A status that is new in AWS counts as not ended.
fn phase(status: Option<&JobStatus>) -> JobPhase {
    match status {
        Some(JobStatus::Starting | JobStatus::Running) => JobPhase::Working,
        Some(JobStatus::Succeeded | JobStatus::Failed) => JobPhase::Ended,
        _ => JobPhase::Waiting,
    }
}

#[async_trait]
impl Fleet for BatchFleet {
    async fn seen(&self, names: &[String]) -> Result<Vec<JobProgress>, FleetError> {
        let mut seen = Vec::new();
        for (line, queue) in &self.queues {
            seen.extend(self.line(*line, queue, names).await?);
        }
        Ok(seen)
    }

    async fn submit(&self, order: &JobOrder) -> Result<(), FleetError> {
        let queue = self.queues.iter().find(|(line, _)| *line == order.line);
        let (_, queue) = queue.ok_or_else(|| FleetError::Refused(format!("there is no {:?} queue", order.line)))?;
        let asked = self.client.submit_job().job_name(&order.name).job_queue(queue).job_definition(&self.definition);
        let asked = match order.job() {
            JobShape::Plain => asked,
            JobShape::Array(size) => {
                let size = i32::try_from(size).map_err(|_| FleetError::Refused(format!("an array of {size}")))?;
                asked.array_properties(ArrayProperties::builder().size(size).build())
            }
        };
        // The call is tried only once, because the job may have been accepted even if the answer was lost.
        let once = aws_sdk_batch::config::Builder::new().retry_config(RetryConfig::disabled());
        asked
            .customize()
            .config_override(once)
            .send()
            .await
            .map(drop)
            .map_err(|error| FleetError::from(fault("SubmitJob", &error)))
    }
}
