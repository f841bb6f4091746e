//! Why a chaos run could not be made. What it finds is no error: see the report's verdict.

use std::io;
use std::path::PathBuf;

/// A chaos run could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ChaosError {
    /// The servers did not start.
    #[error(
        "{command}: {reason}; run it where `make setup` was run, or name the command that starts the servers with --servers"
    )]
    Servers {
        /// What was started.
        command: String,
        /// What came of it.
        reason: String,
    },
    /// No photos.
    #[error("{}: no JPEG photos there; `make setup` fetches some, --photos names a folder", .0.display())]
    Photos(PathBuf),
    /// A server answered with an error outside the storm.
    #[error("{server}: {message}")]
    Server {
        /// Which.
        server: &'static str,
        /// What it said.
        message: String,
    },
    /// Something of this machine.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// Why it failed.
        source: io::Error,
    },
    /// Workers do not live.
    #[error("workers keep ending as they may not, the last: {end}; their logs are in {}", logs.display())]
    Strange {
        /// How the last one ended.
        end: String,
        /// Where the workers' logs are.
        logs: PathBuf,
    },
    /// The work did not end after the storm.
    #[error("{left} messages are still in the queues {seconds} s after the storm: the workers' logs are in {}", logs.display())]
    Stuck {
        /// Messages that were not settled.
        left: u64,
        /// How long it was waited.
        seconds: u64,
        /// Where the workers' logs are.
        logs: PathBuf,
    },
}

impl ChaosError {
    /// A server said no.
    pub(super) fn server<E: std::fmt::Display>(server: &'static str) -> impl Fn(E) -> Self {
        move |error| Self::Server { server, message: error.to_string() }
    }

    /// The machine said no.
    pub(super) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }
}
