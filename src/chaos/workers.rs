//! Workers as processes: one in each place, started again whenever it ends.

use std::fs::{File, OpenOptions};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::ChaosError;
use super::metadata::Metadata;
use super::site::Site;
use super::stand_in::{FAULT, Fault};

/// Kilobytes of address space of a worker with little memory.
const LITTLE: u32 = 700_000;
/// A worker younger than this may not hear signals yet.
const LISTENS: Duration = Duration::from_millis(500);
/// From the end of a worker to the start of the next in its place, as a scheduler takes some time.
const BOOT: Duration = Duration::from_millis(500);

/// What a worker does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// `muster detect`.
    Detect,
    /// `muster group`.
    Group,
}

/// How a worker is told to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// SIGTERM.
    Terminate,
    /// A Spot interruption, and SIGTERM after it.
    Interruption,
    /// A rebalance recommendation.
    Rebalance,
}

const INTERRUPTION: &str = r#"{"action": "terminate", "time": "2026-01-01T00:00:00Z"}"#;
const REBALANCE: &str = r#"{"noticeTime": "2026-01-01T00:00:00Z"}"#;
/// From a Spot notice to SIGTERM: two minutes at Amazon's, here long enough to be heard.
const TERM_AFTER: Duration = Duration::from_secs(8);

/// How a worker that starts is worse off than others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Birth {
    /// Its log has no room.
    pub full_disk: bool,
    /// Its memory is little.
    pub little_memory: bool,
}

/// A worker that ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// How.
    pub status: ExitStatus,
    /// How it was born.
    pub birth: Birth,
    /// How long it lived.
    pub lived: Duration,
    /// From the notice that it was given to its end.
    pub drained: Option<Duration>,
    /// It was killed by the storm.
    pub killed: bool,
    /// It was killed because its drain outlasted the grace, although it was running all the time.
    pub overdue: bool,
    /// Whether its device was broken on purpose.
    pub fault: Option<Fault>,
}

struct Life {
    child: Child,
    since: Instant,
    birth: Birth,
    noticed: Option<Instant>,
    /// SIGTERM then.
    terminate: Option<Instant>,
    /// Killed then, if it still lives.
    grace: Option<Instant>,
    /// Continued then.
    stopped: Option<Instant>,
    /// It was stopped when it was told to end.
    stood_still: bool,
    killed: bool,
    overdue: bool,
    fault: Option<Fault>,
}

/// A place in which there is always a worker.
pub struct Place {
    role: Role,
    name: String,
    program: PathBuf,
    environment: Vec<(&'static str, String)>,
    logs: PathBuf,
    fault: PathBuf,
    /// What the machine says of itself.
    pub metadata: Metadata,
    life: Option<Life>,
    next: Option<(Instant, Birth)>,
    /// Nobody is started here any more.
    closed: bool,
}

fn signal(child: &Child, signal: Signal) {
    if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        // It may have ended by itself.
        let _ = kill_process(pid, signal);
    }
}

impl Place {
    /// Starts the first worker of a place.
    pub async fn open(site: &Site, role: Role, number: usize, program: PathBuf) -> Result<Self, ChaosError> {
        let name = format!("{}{number}", if role == Role::Detect { "detect" } else { "group" });
        let metadata = Metadata::start().await.map_err(ChaosError::io("a port"))?;
        let environment = site.environment(&metadata.url())?;
        let fault = site.logs.join(format!("{name}.fault"));
        let logs = site.logs.join(format!("{name}.log"));
        let next = Some((Instant::now(), Birth::default()));
        let (life, closed) = (None, false);
        Ok(Self { role, name, program, environment, logs, fault, metadata, life, next, closed })
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The process, where one runs.
    pub fn pid(&self) -> Option<u32> {
        self.life.as_ref().map(|life| life.child.id())
    }

    fn command(&self, birth: Birth) -> Result<Command, ChaosError> {
        let word = if self.role == Role::Detect { "detect" } else { "group" };
        let mut command = if birth.little_memory {
            let mut shell = Command::new("sh");
            shell.args(["-c", &format!("ulimit -v {LITTLE}; exec \"$0\" \"$@\"")]).arg(&self.program);
            shell
        } else {
            Command::new(&self.program)
        };
        let log = || OpenOptions::new().create(true).append(true).open(&self.logs);
        let log = if birth.full_disk { File::options().write(true).open("/dev/full") } else { log() };
        let log = log.map_err(ChaosError::io(self.logs.display().to_string()))?;
        let said = log.try_clone().map_err(ChaosError::io(self.logs.display().to_string()))?;
        command.arg(word).arg("--json").envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.env(FAULT, &self.fault).env("NO_COLOR", "1").env_remove("AWS_EC2_METADATA_DISABLED");
        command.stdin(Stdio::null()).stdout(said).stderr(log);
        Ok(command)
    }

    /// Lets time pass: starts who is to start, continues and kills who is to be; a worker that ended.
    pub fn tick(&mut self) -> Result<Option<Ended>, ChaosError> {
        let now = Instant::now();
        if let Some(life) = &mut self.life {
            if life.stopped.is_some_and(|until| until <= now) {
                signal(&life.child, Signal::CONT);
                life.stopped = None;
            }
            if life.terminate.is_some_and(|at| at <= now) {
                signal(&life.child, Signal::TERM);
                life.terminate = None;
            }
            if life.grace.is_some_and(|until| until <= now) {
                life.killed = true;
                life.overdue = !life.stood_still;
                signal(&life.child, Signal::KILL);
            }
            let status = life.child.try_wait().map_err(ChaosError::io(self.name.clone()))?;
            let Some(status) = status else { return Ok(None) };
            let Life { since, birth, noticed, killed, overdue, fault, .. } = *life;
            self.life = None;
            self.metadata.forget();
            let _ = std::fs::remove_file(&self.fault);
            if self.next.is_none() && !self.closed {
                self.next = Some((now + BOOT, Birth::default()));
            }
            let drained = noticed.map(|at| now - at);
            return Ok(Some(Ended { status, birth, lived: now - since, drained, killed, overdue, fault }));
        }
        if let Some((at, birth)) = self.next
            && at <= now
        {
            self.next = None;
            let child = self.command(birth)?.spawn().map_err(ChaosError::io(self.program.display().to_string()))?;
            let (noticed, terminate, grace, stopped) = (None, None, None, None);
            let (stood_still, killed, overdue, fault) = (false, false, false, None);
            let since = now;
            self.life = Some(Life {
                child,
                since,
                birth,
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

    /// Kills the worker; the next is born so. Whether there was one.
    pub(crate) fn kill(&mut self, next: Birth) -> bool {
        let Some(life) = &mut self.life else { return false };
        life.killed = true;
        signal(&life.child, Signal::KILL);
        self.next = Some((Instant::now() + BOOT, next));
        true
    }

    /// Tells the worker to end, by a signal or by what its machine says of itself; killed after `grace`.
    pub fn notice(&mut self, how: Notice, grace: Duration) -> bool {
        let now = Instant::now();
        let Some(life) = self.life.as_mut().filter(|life| life.noticed.is_none()) else { return false };
        life.noticed = Some(now);
        life.stood_still = life.stopped.is_some();
        life.grace = Some(now + grace);
        match how {
            Notice::Terminate => signal(&life.child, Signal::TERM),
            Notice::Interruption => {
                self.metadata.say("/latest/meta-data/spot/instance-action", INTERRUPTION);
                life.terminate = Some(now + TERM_AFTER);
            }
            Notice::Rebalance => self.metadata.say("/latest/meta-data/events/recommendations/rebalance", REBALANCE),
        }
        true
    }

    /// Stops the worker for so long.
    pub fn stop(&mut self, length: Duration) -> bool {
        let Some(life) = self.life.as_mut().filter(|life| life.noticed.is_none()) else { return false };
        signal(&life.child, Signal::STOP);
        life.stopped = Some(Instant::now() + length);
        true
    }

    /// Breaks the worker's device.
    pub fn fault(&mut self, fault: Fault) -> Result<bool, ChaosError> {
        let Some(life) = self.life.as_mut() else { return Ok(false) };
        life.fault = Some(fault);
        std::fs::write(&self.fault, fault.text()).map_err(ChaosError::io(self.fault.display().to_string()))?;
        Ok(true)
    }

    /// Mends the worker's device.
    pub fn mend(&self) {
        let _ = std::fs::remove_file(&self.fault);
    }

    /// Asks the worker to end, and starts no other.
    pub fn close(&mut self, grace: Duration) {
        self.closed = true;
        self.next = None;
        if let Some(life) = &mut self.life {
            life.stopped = Some(Instant::now());
        }
        self.notice(Notice::Terminate, grace);
    }

    /// Whether nobody runs here and nobody will.
    pub fn is_empty(&self) -> bool {
        self.life.is_none() && self.next.is_none()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(life) = &mut self.life {
            let _ = life.child.kill();
            let _ = life.child.wait();
        }
    }
}

/// What a worker's end says, as the error table has it; `None` where it may not end so.
pub(crate) fn meaning(ended: &Ended) -> Option<&'static str> {
    let Ended { status, birth, killed, fault, drained, .. } = ended;
    match (status.code(), status.signal()) {
        (_, Some(9)) if *killed => Some("killed"),
        // Told to end before it could listen.
        (_, Some(15)) if ended.lived < LISTENS => Some("ended before it began"),
        // The decoder of a bad image, or an allocation.
        (_, Some(6)) => Some("aborted"),
        (Some(80), _) if drained.is_some() => Some("handed back"),
        (Some(0), _) => Some("drained"),
        (Some(81), _) => Some("a dependency was down"),
        (Some(82), _) if fault.is_some() => Some("its device was lost"),
        // A process that stood still looks hung to itself, too.
        (Some(83), _) => Some("it hung"),
        (Some(84), _) if fault.is_some() => Some("its device stayed broken"),
        // Too little memory even to start.
        (Some(1 | 70 | 78 | 101 | 127 | 134), _) | (_, Some(11)) if birth.little_memory => Some("too little memory"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_means_something_only_where_something_caused_it() {
        // As wait(2) has it: the code in the second byte, the signal in the first.
        let ended = |raw: i32| Ended {
            status: ExitStatus::from_raw(raw),
            birth: Birth::default(),
            lived: Duration::ZERO,
            drained: None,
            killed: false,
            overdue: false,
            fault: None,
        };
        let code = |code: i32| ended(code << 8);
        for (end, expected) in [
            (ended(9), None),
            (Ended { killed: true, ..ended(9) }, Some("killed")),
            (ended(11), None),
            (code(0), Some("drained")),
            (code(80), None),
            (Ended { drained: Some(Duration::ZERO), ..code(80) }, Some("handed back")),
            (code(70), None),
            (code(84), None),
            (Ended { fault: Some(Fault::Dead), ..code(84) }, Some("its device stayed broken")),
            (code(77), None),
        ] {
            assert_eq!(meaning(&end), expected, "{end:?}");
        }
    }
}
