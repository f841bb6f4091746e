//! Runs workers as processes: one in each slot, which is started again whenever it ends.

use std::fs::{File, OpenOptions};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::ChaosError;
use super::metadata::Metadata;
use super::site::Site;
use super::stand_in::{DeviceFault, FAULT};

/// Address space of a worker with little memory, in kilobytes.
const LITTLE: u32 = 700_000;
/// Age from which a worker is expected to handle signals.
const LISTENS: Duration = Duration::from_millis(500);
/// Time from the end of a worker to the start of the next in its slot, as a scheduler needs some.
const BOOT: Duration = Duration::from_millis(500);

/// The kind of work that a worker does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorkerKind {
    /// A worker of `muster detect`, which finds faces.
    Detect,
    /// A worker of `muster group`, which groups them.
    Group,
}

/// The way in which a worker is told to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// SIGTERM alone.
    Terminate,
    /// A Spot interruption, and SIGTERM after it.
    Interruption,
    /// A rebalance recommendation.
    Rebalance,
}

const INTERRUPTION: &str = r#"{"action": "terminate", "time": "2026-01-01T00:00:00Z"}"#;
const REBALANCE: &str = r#"{"noticeTime": "2026-01-01T00:00:00Z"}"#;
/// Time from a Spot notice to SIGTERM. It is two minutes in AWS; here it is long enough to be noticed.
const TERM_AFTER: Duration = Duration::from_secs(8);

/// Conditions that a worker starts under.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StartupHandicap {
    /// The log is on a full disk.
    pub full_disk: bool,
    /// The address space is limited.
    pub little_memory: bool,
}

/// The end of a worker.
#[derive(Clone, Debug)]
pub struct WorkerEnd {
    /// Exit status of the process.
    pub status: ExitStatus,
    /// Conditions under which it started.
    pub handicap: StartupHandicap,
    /// Time from its start to its end.
    pub lived: Duration,
    /// Time from its notice to its end, where it had one.
    pub drained: Option<Duration>,
    /// Whether the run killed it.
    pub killed: bool,
    /// Whether it was killed because its drain outlasted the grace period, although it was never stopped.
    pub overdue: bool,
    /// Whether its device was broken on purpose.
    pub fault: Option<DeviceFault>,
}

struct WorkerProcess {
    child: Child,
    since: Instant,
    handicap: StartupHandicap,
    noticed: Option<Instant>,
    /// Time at which SIGTERM is sent.
    terminate: Option<Instant>,
    /// Time at which it is killed if it still runs.
    grace: Option<Instant>,
    /// Time at which it is continued.
    stopped: Option<Instant>,
    /// Whether it was stopped when it was told to end.
    stood_still: bool,
    killed: bool,
    overdue: bool,
    fault: Option<DeviceFault>,
}

/// A slot in which a worker always runs.
pub struct WorkerSlot {
    role: WorkerKind,
    name: String,
    program: PathBuf,
    environment: Vec<(&'static str, String)>,
    logs: PathBuf,
    fault: PathBuf,
    /// The metadata service of the worker's machine.
    pub metadata: Metadata,
    process: Option<WorkerProcess>,
    next: Option<(Instant, StartupHandicap)>,
    /// Whether no further worker is started.
    closed: bool,
}

fn signal(child: &Child, signal: Signal) {
    if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        // Sending fails where the process has ended.
        let _ = kill_process(pid, signal);
    }
}

impl WorkerSlot {
    /// Creates a slot whose first worker starts at the next tick.
    ///
    /// # Errors
    /// [`ChaosError::Io`] when no port can be opened, [`ChaosError::Servers`] when MongoDB was not started.
    pub async fn open(site: &Site, role: WorkerKind, number: usize, program: PathBuf) -> Result<Self, ChaosError> {
        let name = format!("{}{number}", if role == WorkerKind::Detect { "detect" } else { "group" });
        let metadata = Metadata::start().await.map_err(ChaosError::io("a port"))?;
        let environment = site.environment(&metadata.url())?;
        let fault = site.logs.join(format!("{name}.fault"));
        let logs = site.logs.join(format!("{name}.log"));
        let next = Some((Instant::now(), StartupHandicap::default()));
        let (process, closed) = (None, false);
        Ok(Self { role, name, program, environment, logs, fault, metadata, process, next, closed })
    }

    /// Returns the slot's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the id of the process, where one runs.
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(|process| process.child.id())
    }

    fn command(&self, handicap: StartupHandicap) -> Result<Command, ChaosError> {
        let word = if self.role == WorkerKind::Detect { "detect" } else { "group" };
        let mut command = if handicap.little_memory {
            let mut shell = Command::new("sh");
            shell.args(["-c", &format!("ulimit -v {LITTLE}; exec \"$0\" \"$@\"")]).arg(&self.program);
            shell
        } else {
            Command::new(&self.program)
        };
        let log = || OpenOptions::new().create(true).append(true).open(&self.logs);
        let log = if handicap.full_disk { File::options().write(true).open("/dev/full") } else { log() };
        let log = log.map_err(ChaosError::io(self.logs.display().to_string()))?;
        let said = log.try_clone().map_err(ChaosError::io(self.logs.display().to_string()))?;
        command.arg(word).arg("--json").envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.env(FAULT, &self.fault).env("NO_COLOR", "1").env_remove("AWS_EC2_METADATA_DISABLED");
        command.stdin(Stdio::null()).stdout(said).stderr(log);
        Ok(command)
    }

    /// Starts, continues or kills the worker where its time has come, and returns its end where it has ended.
    ///
    /// # Errors
    /// [`ChaosError::Io`] when the worker cannot be started or its log cannot be opened.
    pub fn tick(&mut self) -> Result<Option<WorkerEnd>, ChaosError> {
        let now = Instant::now();
        if let Some(process) = &mut self.process {
            if process.stopped.is_some_and(|until| until <= now) {
                signal(&process.child, Signal::CONT);
                process.stopped = None;
            }
            if process.terminate.is_some_and(|at| at <= now) {
                signal(&process.child, Signal::TERM);
                process.terminate = None;
            }
            if process.grace.is_some_and(|until| until <= now) {
                process.killed = true;
                process.overdue = !process.stood_still;
                signal(&process.child, Signal::KILL);
            }
            let status = process.child.try_wait().map_err(ChaosError::io(self.name.clone()))?;
            let Some(status) = status else { return Ok(None) };
            let WorkerProcess { since, handicap, noticed, killed, overdue, fault, .. } = *process;
            self.process = None;
            self.metadata.forget();
            let _ = std::fs::remove_file(&self.fault);
            if self.next.is_none() && !self.closed {
                self.next = Some((now + BOOT, StartupHandicap::default()));
            }
            let drained = noticed.map(|at| now - at);
            return Ok(Some(WorkerEnd { status, handicap, lived: now - since, drained, killed, overdue, fault }));
        }
        if let Some((at, handicap)) = self.next
            && at <= now
        {
            self.next = None;
            let child = self.command(handicap)?.spawn().map_err(ChaosError::io(self.program.display().to_string()))?;
            let (noticed, terminate, grace, stopped) = (None, None, None, None);
            let (stood_still, killed, overdue, fault) = (false, false, false, None);
            let since = now;
            self.process = Some(WorkerProcess {
                child,
                since,
                handicap,
                noticed,
                terminate,
                grace,
                stopped,
                stood_still,
                killed,
                overdue,
                fault,
            });
        }
        Ok(None)
    }

    /// Kills the worker, and starts the next one with the conditions `next`. Returns whether there was one.
    pub(crate) fn kill(&mut self, next: StartupHandicap) -> bool {
        let Some(process) = &mut self.process else { return false };
        process.killed = true;
        signal(&process.child, Signal::KILL);
        self.next = Some((Instant::now() + BOOT, next));
        true
    }

    /// Tells the worker to end, by a signal or by its metadata service, and kills it after `grace`. Returns whether one
    /// ran.
    pub fn notice(&mut self, how: Notice, grace: Duration) -> bool {
        let now = Instant::now();
        let Some(process) = self.process.as_mut().filter(|process| process.noticed.is_none()) else { return false };
        process.noticed = Some(now);
        process.stood_still = process.stopped.is_some();
        process.grace = Some(now + grace);
        match how {
            Notice::Terminate => signal(&process.child, Signal::TERM),
            Notice::Interruption => {
                self.metadata.say("/latest/meta-data/spot/instance-action", INTERRUPTION);
                process.terminate = Some(now + TERM_AFTER);
            }
            Notice::Rebalance => self.metadata.say("/latest/meta-data/events/recommendations/rebalance", REBALANCE),
        }
        true
    }

    /// Stops the worker for a time. Returns whether there was one.
    pub fn stop(&mut self, length: Duration) -> bool {
        let Some(process) = self.process.as_mut().filter(|process| process.noticed.is_none()) else { return false };
        signal(&process.child, Signal::STOP);
        process.stopped = Some(Instant::now() + length);
        true
    }

    /// Breaks the worker's device. Returns whether there was a worker.
    ///
    /// # Errors
    /// [`ChaosError::Io`] when the fault file cannot be written.
    pub fn fault(&mut self, fault: DeviceFault) -> Result<bool, ChaosError> {
        let Some(process) = self.process.as_mut() else { return Ok(false) };
        process.fault = Some(fault);
        std::fs::write(&self.fault, fault.text()).map_err(ChaosError::io(self.fault.display().to_string()))?;
        Ok(true)
    }

    /// Repairs the worker's device.
    pub fn mend(&self) {
        let _ = std::fs::remove_file(&self.fault);
    }

    /// Asks the worker to end, and starts no other.
    pub fn close(&mut self, grace: Duration) {
        self.closed = true;
        self.next = None;
        if let Some(process) = &mut self.process {
            process.stopped = Some(Instant::now());
        }
        self.notice(Notice::Terminate, grace);
    }

    /// Tells whether no worker runs in the slot and none will start.
    pub fn is_empty(&self) -> bool {
        self.process.is_none() && self.next.is_none()
    }
}

impl Drop for WorkerSlot {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            let _ = process.child.kill();
            let _ = process.child.wait();
        }
    }
}

/// Explains a worker's end by the error table; `None` where a worker may not end this way.
pub(crate) fn meaning(ended: &WorkerEnd) -> Option<&'static str> {
    let WorkerEnd { status, handicap, killed, fault, drained, .. } = ended;
    match (status.code(), status.signal()) {
        (_, Some(9)) if *killed => Some("killed"),
        // The worker was told to end before it could handle signals.
        (_, Some(15)) if ended.lived < LISTENS => Some("ended before it began"),
        // A bad image killed the decoder, or an allocation failed.
        (_, Some(6)) => Some("aborted"),
        (Some(80), _) if drained.is_some() => Some("handed back"),
        (Some(0), _) => Some("drained"),
        (Some(81), _) => Some("a dependency was down"),
        (Some(82), _) if fault.is_some() => Some("its device was lost"),
        // A process that was stopped may also find that it hung, and end itself.
        (Some(83), _) => Some("it hung"),
        (Some(84), _) if fault.is_some() => Some("its device stayed broken"),
        // The memory was too little to start.
        (Some(1 | 70 | 78 | 101 | 127 | 134), _) | (_, Some(11)) if handicap.little_memory => Some("too little memory"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_means_something_only_where_something_caused_it() {
        // The format is that of wait(2): the code is in the second byte, the signal in the first.
        let ended = |raw: i32| WorkerEnd {
            status: ExitStatus::from_raw(raw),
            handicap: StartupHandicap::default(),
            lived: Duration::ZERO,
            drained: None,
            killed: false,
            overdue: false,
            fault: None,
        };
        let code = |code: i32| ended(code << 8);
        for (end, expected) in [
            (ended(9), None),
            (WorkerEnd { killed: true, ..ended(9) }, Some("killed")),
            (ended(11), None),
            (code(0), Some("drained")),
            (code(80), None),
            (WorkerEnd { drained: Some(Duration::ZERO), ..code(80) }, Some("handed back")),
            (code(70), None),
            (code(84), None),
            (WorkerEnd { fault: Some(DeviceFault::Dead), ..code(84) }, Some("its device stayed broken")),
            (code(77), None),
        ] {
            assert_eq!(meaning(&end), expected, "{end:?}");
        }
    }
}
