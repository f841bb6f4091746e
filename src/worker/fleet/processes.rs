//! Workers as processes on this machine.

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

/// A summary is never longer.
const SUMMARY: u64 = 1 << 20;
/// Ends remembered for the rate.
const ENDS: usize = 8;

/// What happened to a worker.
#[derive(Clone, Debug)]
pub enum Event {
    /// It started.
    Started {
        /// Its name: the job's, with its place in the array.
        name: String,
        /// Its process.
        pid: u32,
    },
    /// It ended.
    Ended {
        /// Its name.
        name: String,
        /// How.
        status: ExitStatus,
        /// What it did, where it could still say so.
        summary: Option<Value>,
    },
}

/// Hears of every worker.
pub type Hear = Arc<dyn Fn(Event) + Send + Sync>;

/// Makes the command that a worker is.
pub type Make = Arc<dyn Fn() -> Command + Send + Sync>;

/// Workers that this process has started. They end with their queue; [`Processes::stop`] asks them to.
#[derive(Clone)]
pub struct Processes {
    running: Arc<Mutex<Vec<Running>>>,
    /// Images and seconds of workers that ended, the last ones first.
    ended: Arc<Mutex<Vec<(f64, f64)>>>,
    make: Make,
    hear: Hear,
    /// Held as long as anybody is here: two would not see each other's workers.
    _lock: Arc<File>,
}

struct Running {
    job: String,
    pid: u32,
}

impl Processes {
    /// None yet. `folder` keeps a file for each queue that is scaled on this machine.
    pub fn new(folder: &Path, queue: &str, make: Make, hear: Hear) -> Result<Self, FleetError> {
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
        Ok(Self { running: Arc::default(), ended: Arc::default(), make, hear, _lock: Arc::new(file) })
    }

    fn start(&self, job: &str, nth: u64) -> std::io::Result<()> {
        let mut command = (self.make)();
        // In a group of its own: Ctrl-C is for whoever scales, which passes it on once.
        command.stdin(Stdio::null()).stdout(Stdio::piped()).process_group(0);
        let mut child = command.spawn()?;
        let (name, pid) = (format!("{job}:{nth}"), child.id());
        self.running.lock().push(Running { job: job.to_owned(), pid });
        (self.hear)(Event::Started { name: name.clone(), pid });
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
        (self.hear)(Event::Ended { name: name.to_owned(), status, summary });
    }

    /// How many run.
    pub fn count(&self) -> usize {
        self.running.lock().len()
    }

    /// Asks all to hand back what they have; waits for them as long as it takes.
    pub async fn stop(&self) {
        for Running { pid, .. } in self.running.lock().iter() {
            signal(*pid, Signal::TERM);
        }
        self.wait().await;
    }

    /// Waits until none runs.
    pub async fn wait(&self) {
        while self.count() > 0 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Images a second of the workers that ended last, their waiting included.
    fn rate(&self) -> Option<f64> {
        let ended = self.ended.lock();
        let (images, seconds) = ended.iter().fold((0.0, 0.0), |(a, b), (c, d)| (a + c, b + d));
        (images > 0.0).then(|| images / seconds)
    }
}

/// One that has ended meanwhile need not be told.
fn signal(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, signal);
    }
}

/// The last line of standard output, where it is a summary.
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

/// A queue of SQS, and the rate of this machine's workers.
pub struct LocalGauge {
    /// The queue.
    pub queue: SqsQueueMetrics,
    /// The workers.
    pub processes: Processes,
}

#[async_trait]
impl QueueMetrics for LocalGauge {
    async fn depth(&self) -> Result<Depth, QueueMetricsError> {
        self.queue.depth().await
    }

    async fn rate(&self) -> Option<f64> {
        self.processes.rate()
    }
}
