//! Runs workers as processes on this machine.

use std::fs::File;
use std::io::Read;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use muster_actors::ports::fleet::JobQueue;
use muster_actors::ports::fleet::{Fleet, FleetError as Refusal, JobOrder, JobPhase, JobProgress};
use muster_actors::ports::queue_metrics::Depth;
use muster_actors::ports::queue_metrics::{QueueMetrics, QueueMetricsError};
use parking_lot::Mutex;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::FleetError;
use muster_aws::queue_metrics::SqsQueueMetrics;

/// Longest summary in bytes.
const SUMMARY: u64 = 1 << 20;
/// Number of ended workers that the rate is computed from.
const ENDS: usize = 8;

/// An event of a worker's process.
#[derive(Clone, Debug)]
pub enum WorkerEvent {
    /// It started.
    Started {
        /// Its name: the job's, with its place in the array.
        name: String,
        /// Id of its process.
        pid: u32,
    },
    /// It ended.
    Ended {
        /// Its name.
        name: String,
        /// Exit status.
        status: ExitStatus,
        /// Its summary, where it could still write one.
        summary: Option<Value>,
    },
}

/// A function that is called for the events of all workers.
pub type WorkerListener = Arc<dyn Fn(WorkerEvent) + Send + Sync>;

/// A function that creates the command of a worker.
pub type CommandFactory = Arc<dyn Fn() -> Command + Send + Sync>;

/// Workers that this process has started. They end with their queue; [`Processes::stop`] asks them to.
#[derive(Clone)]
pub struct Processes {
    running: Arc<Mutex<Vec<RunningWorker>>>,
    /// Images and seconds of ended workers, the latest first.
    ended: Arc<Mutex<Vec<(f64, f64)>>>,
    make: CommandFactory,
    hear: WorkerListener,
    /// Lock against a second such process, because two would not see each other's workers.
    _lock: Arc<QueueLock>,
}

struct RunningWorker {
    job: String,
    pid: u32,
}

/// A locked file, which is unlocked with the value, also while a child process still has it open.
struct QueueLock(File);

impl Drop for QueueLock {
    fn drop(&mut self) {
        let _ = self.0.unlock();
    }
}

impl Processes {
    /// Creates an empty set of workers. `folder` has a lock file for each queue that is scaled on this machine.
    pub fn new(folder: &Path, queue: &str, make: CommandFactory, hear: WorkerListener) -> Result<Self, FleetError> {
        let name = format!("scaling-{}.lock", &blake3::hash(queue.as_bytes()).to_hex()[..16]);
        let open = || {
            std::fs::create_dir_all(folder)?;
            File::options().create(true).truncate(false).write(true).open(folder.join(name))
        };
        let file = open().map_err(FleetError::Processes)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => return Err(FleetError::Taken),
            Err(std::fs::TryLockError::Error(error)) => return Err(FleetError::Processes(error)),
        }
        Ok(Self { running: Arc::default(), ended: Arc::default(), make, hear, _lock: Arc::new(QueueLock(file)) })
    }

    fn start(&self, job: &str, nth: u64) -> std::io::Result<()> {
        let mut command = (self.make)();
        // In a group of its own: Ctrl-C is for whoever scales, which passes it on once.
        command.stdin(Stdio::null()).stdout(Stdio::piped()).process_group(0);
        let mut child = command.spawn()?;
        let (name, pid) = (format!("{job}:{nth}"), child.id());
        self.running.lock().push(RunningWorker { job: job.to_owned(), pid });
        (self.hear)(WorkerEvent::Started { name: name.clone(), pid });
        let processes = self.clone();
        let waiting = std::thread::Builder::new().name(name.clone());
        let waited = waiting.spawn(move || {
            let summary = said(&mut child);
            let status = child.wait();
            processes.ended(&name, pid, status, summary);
        });
        if let Err(error) = waited {
            // Nobody would see its end.
            signal(pid, Signal::KILL);
            self.running.lock().retain(|running| running.pid != pid);
            return Err(error);
        }
        Ok(())
    }

    fn ended(&self, name: &str, pid: u32, status: std::io::Result<ExitStatus>, summary: Option<Value>) {
        let of = |key: &str| summary.as_ref().and_then(|summary| summary[key].as_f64()).unwrap_or(0.0);
        if of("fetched") > 0.0 && of("seconds") > 0.0 {
            let mut ended = self.ended.lock();
            ended.insert(0, (of("fetched"), of("seconds")));
            ended.truncate(ENDS);
        }
        self.running.lock().retain(|running| running.pid != pid);
        let status = status.unwrap_or_else(|_| ExitStatus::from_raw(0));
        (self.hear)(WorkerEvent::Ended { name: name.to_owned(), status, summary });
    }

    /// Returns the number of running workers.
    pub fn count(&self) -> usize {
        self.running.lock().len()
    }

    /// Asks all workers to hand back their messages, and waits for their end.
    pub async fn stop(&self) {
        for RunningWorker { pid, .. } in self.running.lock().iter() {
            signal(*pid, Signal::TERM);
        }
        self.wait().await;
    }

    /// Waits until no worker runs.
    pub async fn wait(&self) {
        while self.count() > 0 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Computes the images a second of the workers that ended last, with their waiting time.
    fn rate(&self) -> Option<f64> {
        let ended = self.ended.lock();
        let (images, seconds) = ended.iter().fold((0.0, 0.0), |(a, b), (c, d)| (a + c, b + d));
        (images > 0.0).then(|| images / seconds)
    }
}

/// Sends SIGTERM to a worker. One that has ended meanwhile is ignored.
fn signal(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, signal);
    }
}

/// Parses the last line of standard output, where it is a summary.
fn said(child: &mut Child) -> Option<Value> {
    let mut text = Vec::new();
    child.stdout.take()?.take(SUMMARY).read_to_end(&mut text).ok()?;
    serde_json::from_slice(text.trim_ascii().rsplit(|byte| *byte == b'\n').next()?).ok()
}

#[async_trait]
impl Fleet for Processes {
    async fn seen(&self, names: &[String]) -> Result<Vec<JobProgress>, Refusal> {
        let of = |name: &str, phase, workers| JobProgress::new(name, JobQueue::Primary, phase, workers);
        let running =
            self.running.lock().iter().map(|running| of(&running.job, JobPhase::Working, 1)).collect::<Vec<_>>();
        // Whatever was started is in the list at once: the others have ended, or were never started.
        Ok(names.iter().map(|name| of(name, JobPhase::Ended, 0)).chain(running).collect())
    }

    async fn submit(&self, order: &JobOrder) -> Result<(), Refusal> {
        for nth in 0..order.workers {
            self.start(&order.name, nth).map_err(|error| Refusal::Refused(format!("no worker starts: {error}")))?;
        }
        Ok(())
    }
}

/// The metrics of a queue of SQS, with the rate of this machine's workers.
pub struct LocalQueueMetrics {
    /// Metrics of the queue.
    pub queue: SqsQueueMetrics,
    /// Workers of this machine.
    pub processes: Processes,
}

#[async_trait]
impl QueueMetrics for LocalQueueMetrics {
    async fn depth(&self) -> Result<Depth, QueueMetricsError> {
        self.queue.depth().await
    }

    async fn rate(&self) -> Option<f64> {
        self.processes.rate()
    }
}
