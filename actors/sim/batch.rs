//! A fake of AWS Batch with its rules about jobs, which emulators do not enforce.
//!
//! Source: AWS Batch API reference (SubmitJob, ListJobs, DescribeJobs, CancelJob) and user guide (array jobs, job states).

use std::collections::BTreeMap;

/// States of a job, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    /// Accepted.
    Submitted,
    /// Waits for others; the parent of an array, as long as a child runs.
    Pending,
    /// Waits for a machine.
    Runnable,
    /// On its way to a container.
    Starting,
    /// At work.
    Running,
    /// Exit code 0.
    Succeeded,
    /// Any other end.
    Failed,
}

impl Status {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Submitted, Self::Pending, Self::Runnable, Self::Starting, Self::Running, Self::Succeeded, Self::Failed];

    /// As the API writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Submitted => "SUBMITTED",
            Self::Pending => "PENDING",
            Self::Runnable => "RUNNABLE",
            Self::Starting => "STARTING",
            Self::Running => "RUNNING",
            Self::Succeeded => "SUCCEEDED",
            Self::Failed => "FAILED",
        }
    }

    /// Whether it is over.
    pub fn is_end(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed)
    }
}

/// A job.
#[derive(Clone, Debug)]
pub struct Job {
    /// Its id.
    pub id: String,
    /// Its name: not unique.
    pub name: String,
    /// Its queue.
    pub queue: String,
    /// One status a worker: of a plain job one, of an array one a child.
    pub workers: Vec<Status>,
    /// Whether it is an array.
    pub array: bool,
    /// Why it waits.
    pub reason: String,
    /// Lists show it after so many more of them.
    hidden: usize,
}

impl Job {
    /// As ListJobs and DescribeJobs say of the job itself: a parent is PENDING until all children have ended.
    pub fn status(&self) -> Status {
        if !self.array {
            return self.workers[0];
        }
        match self.workers.iter().all(|status| status.is_end()) {
            true if self.workers.contains(&Status::Failed) => Status::Failed,
            true => Status::Succeeded,
            false => Status::Pending,
        }
    }

    /// Children by status.
    pub fn summary(&self) -> BTreeMap<&'static str, usize> {
        let mut summary: BTreeMap<_, _> = Status::ALL.iter().map(|status| (status.as_str(), 0)).collect();
        self.workers.iter().for_each(|status| *summary.entry(status.as_str()).or_default() += 1);
        summary
    }

    /// Workers that have not ended.
    pub fn active(&self) -> u64 {
        self.workers.iter().filter(|status| !status.is_end()).count() as u64
    }
}

/// Job queues with their jobs.
#[derive(Clone, Debug, Default)]
pub struct Jobs {
    queues: Vec<String>,
    jobs: Vec<Job>,
    /// A new job is shown by lists only after so many of them.
    pub lag: usize,
}

impl Jobs {
    /// Empty queues.
    pub fn new(queues: &[&str]) -> Self {
        Self { queues: queues.iter().map(|queue| (*queue).to_owned()).collect(), ..Self::default() }
    }

    /// SubmitJob; the job's id, or the message of the ClientException.
    pub fn submit(&mut self, name: &str, queue: &str, array: Option<i64>) -> Result<String, String> {
        let begins = name.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if !begins || name.len() > 128 || !name.bytes().all(allowed) {
            return Err(format!("Job name should match valid pattern: {name}"));
        }
        if !self.queues.iter().any(|known| known == queue) {
            return Err(format!("JobQueue {queue} not found"));
        }
        if let Some(size) = array
            && !(2..=10_000).contains(&size)
        {
            return Err(format!("Array size must be between 2 and 10000, and is {size}"));
        }
        let id = format!("00000000-0000-0000-0000-{:012}", self.jobs.len());
        let workers = vec![Status::Submitted; usize::try_from(array.unwrap_or(1)).unwrap_or(1)];
        let (name, queue, reason) = (name.to_owned(), queue.to_owned(), String::new());
        self.jobs.push(Job { id: id.clone(), name, queue, workers, array: array.is_some(), reason, hidden: self.lag });
        Ok(id)
    }

    /// ListJobs of a queue: those in one status (RUNNING where none is named), or with a name, whatever their status.
    pub fn list(&mut self, queue: &str, status: Option<Status>, name: Option<&str>) -> Result<Vec<&Job>, String> {
        if !self.queues.iter().any(|known| known == queue) {
            return Err(format!("JobQueue {queue} not found"));
        }
        let status = status.unwrap_or(Status::Running);
        let named = |job: &Job| match name.map(|name| name.strip_suffix('*').ok_or(name)) {
            Some(Ok(prefix)) => job.name.to_lowercase().starts_with(&prefix.to_lowercase()),
            Some(Err(name)) => job.name.eq_ignore_ascii_case(name),
            None => job.status() == status,
        };
        for job in self.jobs.iter_mut().filter(|job| job.queue == queue) {
            job.hidden = job.hidden.saturating_sub(1);
        }
        Ok(self.jobs.iter().filter(|job| job.queue == queue && job.hidden == 0 && named(job)).collect())
    }

    /// DescribeJobs; ids that nobody knows are passed over.
    pub fn describe(&self, ids: &[String]) -> Result<Vec<&Job>, String> {
        match ids.len() {
            1..=100 => Ok(self.jobs.iter().filter(|job| ids.contains(&job.id)).collect()),
            many => Err(format!("between 1 and 100 jobs can be described, not {many}")),
        }
    }

    /// All of them.
    pub fn all(&self) -> &[Job] {
        &self.jobs
    }

    /// All of them, to move on.
    pub fn all_mut(&mut self) -> &mut [Job] {
        &mut self.jobs
    }

    /// Workers of a queue that have not ended.
    pub fn active(&self, queue: &str) -> u64 {
        self.jobs.iter().filter(|job| job.queue == queue).map(Job::active).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_batch_refuses_is_refused() {
        let mut jobs = Jobs::new(&["q"]);
        for (name, queue, array, allowed) in [
            ("a-1_b", "q", None, true),
            ("a", "q", Some(2), true),
            ("a", "q", Some(10_000), true),
            ("a", "q", Some(1), false),
            ("a", "q", Some(0), false),
            ("a", "q", Some(-2), false),
            ("a", "q", Some(10_001), false),
            ("-a", "q", None, false),
            ("a b", "q", None, false),
            ("", "q", None, false),
            (&"a".repeat(129), "q", None, false),
            ("a", "other", None, false),
        ] {
            assert_eq!(jobs.submit(name, queue, array).is_ok(), allowed, "{name} {queue} {array:?}");
        }
    }

    #[test]
    fn the_parent_of_an_array_is_pending_while_children_run_and_a_list_shows_running_jobs_unless_told() {
        let mut jobs = Jobs::new(&["q"]);
        jobs.submit("plain", "q", None).unwrap();
        jobs.submit("array", "q", Some(2)).unwrap();
        for job in jobs.all_mut() {
            job.workers.fill(Status::Running);
        }
        let names = |list: Vec<&Job>| list.iter().map(|job| job.name.clone()).collect::<Vec<_>>();
        assert_eq!(names(jobs.list("q", None, None).unwrap()), ["plain"]);
        assert_eq!(names(jobs.list("q", Some(Status::Pending), None).unwrap()), ["array"]);
        assert_eq!(names(jobs.list("q", None, Some("ARR*")).unwrap()), ["array"]);
        assert_eq!(names(jobs.list("q", None, Some("arr")).unwrap()), Vec::<String>::new());
        assert_eq!(jobs.active("q"), 3);
        let ids = [jobs.all()[1].id.clone()];
        assert_eq!(jobs.describe(&ids).unwrap()[0].summary()["RUNNING"], 2);
    }
}
