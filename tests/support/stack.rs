//! The servers that the fleet's tests talk to: real ones, started by `tests/stack/stack.py`, stopped with the test.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, MutexGuard};

use serde_json::Value;

use super::repository;

/// Servers that run as long as this is held.
pub struct Stack {
    told: Value,
    pipes: Mutex<Pipes>,
    child: Child,
}

struct Pipes {
    to: Option<ChildStdin>,
    from: BufReader<ChildStdout>,
}

impl Pipes {
    fn line(&mut self) -> Value {
        let mut line = String::new();
        self.from.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|_| panic!("the servers did not start; run `make setup`"))
    }
}

impl Stack {
    /// Starts some of mongo, redis and aws.
    pub fn start(servers: &[&str]) -> Self {
        let venv = std::env::var_os("MUSTER_VENV").map_or_else(|| repository().join(".cache/venv"), PathBuf::from);
        let mut child = Command::new(venv.join("bin/python"))
            .arg(repository().join("tests/stack/stack.py"))
            .args(servers)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}; run `make setup`", venv.display()));
        let mut pipes = Pipes { to: child.stdin.take(), from: BufReader::new(child.stdout.take().unwrap()) };
        Self { told: pipes.line(), pipes: Mutex::new(pipes), child }
    }

    /// Where a server is.
    pub fn url(&self, server: &str) -> &str {
        self.told[server]["url"].as_str().unwrap_or_else(|| panic!("{server} was not started"))
    }

    /// The process of a server, as it was started first.
    pub fn pid(&self, server: &str) -> u64 {
        self.told[server]["pid"].as_u64().unwrap_or_else(|| panic!("{server} was not started"))
    }

    fn pipes(&self) -> MutexGuard<'_, Pipes> {
        self.pipes.lock().unwrap()
    }

    /// Obeys `stop`, `kill` or `start` and waits for it.
    pub fn tell(&self, verb: &str, server: &str) {
        let mut pipes = self.pipes();
        writeln!(pipes.to.as_mut().unwrap(), "{verb} {server}").unwrap();
        pipes.line();
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // The end of its input stops them all.
        self.pipes().to = None;
        let _ = self.child.wait();
    }
}
