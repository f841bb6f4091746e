//! Errors that prevent a chaos run. Faults that a run finds are in the report's verdict instead.

use std::io;
use std::path::PathBuf;

/// Error that prevents a chaos run.
#[derive(Debug, thiserror::Error)]
pub enum ChaosError {
    /// The servers did not start.
    #[error(
        "{command}: {reason}; run it where `make setup` was run, or name the command that starts the servers with --servers"
    )]
    Servers {
        /// Command that starts the servers.
        command: String,
        /// Message of the failure.
        reason: String,
    },
    /// The folder has no photos.
    #[error("{}: no JPEG photos there; `make setup` fetches some, --photos names a folder", .0.display())]
    Photos(PathBuf),
    /// A server failed outside the injected faults.
    #[error("{server}: {message}")]
    Server {
        /// Name of the server.
        server: &'static str,
        /// Message of the server's error.
        message: String,
    },
    /// An operation on this machine failed.
    #[error("{what}: {source}")]
    Io {
        /// Name of the file or the operation.
        what: String,
        /// Error of the operating system.
        source: io::Error,
    },
    /// Workers keep ending without an injected fault.
    #[error("workers keep ending in ways that no injected fault explains, the last: {end}; their logs are in {}", logs.display())]
    Strange {
        /// Description of the last such end.
        end: String,
        /// Folder of the workers' logs.
        logs: PathBuf,
    },
    /// The work did not end after the last fault.
    #[error("{left} messages are still in the queues {seconds} s after the storm: the workers' logs are in {}", logs.display())]
    Stuck {
        /// Messages that were not settled.
        left: u64,
        /// Seconds for which the run waited.
        seconds: u64,
        /// Folder of the workers' logs.
        logs: PathBuf,
    },
}

impl ChaosError {
    /// Wraps an error of a server.
    pub(super) fn server<E: std::fmt::Display>(server: &'static str) -> impl Fn(E) -> Self {
        move |error| Self::Server { server, message: error.to_string() }
    }

    /// Wraps an error of the operating system.
    pub(super) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }
}
