//! Why a command failed, with the exit code that says so.

use crate::settings::SettingsError;

/// A command failed. The message names the cause and the mend.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The command line asks for something that makes no sense.
    #[error("{0}")]
    Usage(String),
    /// Something that was named is not there.
    #[error("{0}")]
    Missing(String),
    /// Settings are wrong.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// Reading or writing a file or the terminal failed.
    #[error("{0}")]
    Io(#[from] std::io::Error),
}

impl CliError {
    /// The process exit code (sysexits where one fits; docs/errors.md).
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::Missing(_) => 66,
            Self::Io(_) => 74,
            Self::Settings(_) => 78,
        }
    }
}
