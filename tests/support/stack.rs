//! The servers that the fleet's tests talk to: real ones, started by `tests/stack/stack.py`, stopped with the test.

use std::path::PathBuf;

use muster_chaos::servers::Servers;

use super::repository;

/// Servers that run as long as this is held.
pub struct Stack(Servers);

impl Stack {
    /// Starts some of mongo, redis and aws.
    pub fn start(servers: &[&str]) -> Self {
        let venv = std::env::var_os("MUSTER_VENV").map_or_else(|| repository().join(".cache/venv"), PathBuf::from);
        let command = [venv.join("bin/python"), repository().join("tests/stack/stack.py")];
        Self(Servers::start(&command.map(|part| part.display().to_string()), servers).unwrap())
    }

    /// Where a server is.
    pub fn url(&self, server: &str) -> &str {
        self.0.url(server).unwrap()
    }

    /// The process of a server, as it was started first.
    pub fn pid(&self, server: &str) -> u64 {
        self.0.pid(server).unwrap()
    }

    /// Obeys `stop`, `kill` or `start` and waits for it.
    pub fn tell(&self, verb: &str, server: &str) {
        self.0.tell(verb, server).unwrap();
    }
}
