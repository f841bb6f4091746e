//! Starts real servers by a command (`tests/stack/stack.py`), and stops them when the value is
//! dropped.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use parking_lot::{Mutex, MutexGuard};
use serde_json::Value;

use super::ChaosError;

/// Servers that run until the value is dropped.
#[derive(Debug)]
pub struct Servers {
    command: String,
    told: Value,
    pipes: Mutex<Pipes>,
    child: Child,
}

#[derive(Debug)]
struct Pipes {
    to: Option<ChildStdin>,
    from: BufReader<ChildStdout>,
}

impl Pipes {
    fn line(&mut self) -> Result<Value, String> {
        let mut line = String::new();
        self.from.read_line(&mut line).map_err(|error| error.to_string())?;
        serde_json::from_str(&line).map_err(|_| format!("it said {line:?}"))
    }
}

impl Servers {
    /// Starts some of mongo, redis and aws.
    ///
    /// # Errors
    /// [`ChaosError::Servers`] when they do not start.
    pub fn start(command: &[String], servers: &[&str]) -> Result<Self, ChaosError> {
        let name = command.join(" ");
        let failed = |reason: String| ChaosError::Servers { command: name.clone(), reason };
        let [program, arguments @ ..] = command else { return Err(failed("no command".into())) };
        let spawned =
            Command::new(program).args(arguments).args(servers).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = spawned.map_err(|error| failed(error.to_string()))?;
        let (Some(from), to) = (child.stdout.take(), child.stdin.take()) else {
            return Err(failed("no pipe to it".into()));
        };
        let mut pipes = Pipes { to, from: BufReader::new(from) };
        let told = pipes.line().map_err(failed)?;
        Ok(Self { command: name, told, pipes: Mutex::new(pipes), child })
    }

    fn failed(&self, reason: impl Into<String>) -> ChaosError {
        ChaosError::Servers { command: self.command.clone(), reason: reason.into() }
    }

    /// Returns the URL of a server.
    ///
    /// # Errors
    /// [`ChaosError::Servers`] when it was not started.
    pub fn url(&self, server: &str) -> Result<&str, ChaosError> {
        self.told[server]["url"].as_str().ok_or_else(|| self.failed(format!("{server} was not started")))
    }

    /// Returns the process id of a server at its first start; a restarted server has another.
    ///
    /// # Errors
    /// [`ChaosError::Servers`] when it was not started.
    pub fn pid(&self, server: &str) -> Result<u64, ChaosError> {
        self.told[server]["pid"].as_u64().ok_or_else(|| self.failed(format!("{server} was not started")))
    }

    fn pipes(&self) -> MutexGuard<'_, Pipes> {
        self.pipes.lock()
    }

    /// Sends `stop`, `kill` or `start` for a server, and waits until it is done.
    ///
    /// # Errors
    /// [`ChaosError::Servers`] when the command fails.
    pub fn tell(&self, verb: &str, server: &str) -> Result<(), ChaosError> {
        let mut pipes = self.pipes();
        let Some(to) = &mut pipes.to else { return Err(self.failed("it was stopped")) };
        writeln!(to, "{verb} {server}").map_err(|error| self.failed(error.to_string()))?;
        pipes.line().map(drop).map_err(|reason| self.failed(format!("{verb} {server}: {reason}")))
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        // All servers stop when the command's input ends.
        self.pipes().to = None;
        let _ = self.child.wait();
    }
}
