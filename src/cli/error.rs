//! Errors of commands, with their exit codes.

use muster_actors::people::CorrectionError;
use muster_actors::ports::engine::EngineError;
use muster_actors::ports::index::IndexError;

use muster_config::SettingsError;
use muster_evaluation::report::ReportError;
use muster_evaluation::vectors::VectorsError;
#[cfg(feature = "serve")]
use muster_http::keys::KeysError;
use muster_inference::onnx::home::NoHome;
use muster_inference::onnx::pack::PackError;
use muster_library::LibraryError;
use muster_library::correct::CorrectError;
use muster_library::drawn_faces::DrawnFaceError;
use muster_library::face_finder::FindFaceError;

/// A command failed. The message names the cause and the mend.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The command line asks for something that makes no sense.
    #[error("{0}")]
    Usage(String),
    /// Something that was named is not there.
    #[error("{0}")]
    Missing(String),
    /// What is asked is not allowed now.
    #[cfg(feature = "cloud")]
    #[error("{0}")]
    Refused(String),
    /// Settings are wrong.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The library cannot be opened, read or written.
    #[error(transparent)]
    Library(#[from] LibraryError),
    /// A face cannot be added to a photo.
    #[error(transparent)]
    DrawnFace(#[from] DrawnFaceError),
    /// Grouping failed; what was decided before is kept.
    #[error("grouping failed ({0}): `muster index` groups anew")]
    Grouping(#[from] IndexError),
    /// Labelled vectors cannot be read.
    #[error(transparent)]
    Vectors(#[from] VectorsError),
    /// Groups cannot be compared.
    #[error(transparent)]
    Evaluation(#[from] ReportError),
    /// No data folder for models.
    #[error(transparent)]
    Home(#[from] NoHome),
    /// `muster models` failed.
    #[error(transparent)]
    Models(#[from] super::models::ModelsError),
    /// A model pack is missing or not what it says.
    #[error(transparent)]
    Pack(#[from] PackError),
    /// The models cannot be loaded.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A fleet's worker cannot start.
    #[cfg(feature = "cloud")]
    #[error(transparent)]
    Fleet(#[from] muster_worker::fleet::FleetError),
    /// A chaos run cannot be made.
    #[cfg(feature = "chaos")]
    #[error(transparent)]
    Chaos(#[from] muster_chaos::ChaosError),
    /// Traces or metrics have nowhere to go.
    #[cfg(feature = "cloud")]
    #[error(transparent)]
    Telemetry(#[from] muster_telemetry::TelemetryError),
    /// API keys cannot be read or changed.
    #[cfg(feature = "serve")]
    #[error(transparent)]
    Keys(#[from] muster_http::keys::KeysError),
    /// A result cannot be written as JSON.
    #[error("JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// A file cannot be written.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: std::path::PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// Reading or writing a file or the terminal failed.
    #[error("{0}")]
    Io(#[from] std::io::Error),
}

impl From<CorrectError> for CliError {
    fn from(error: CorrectError) -> Self {
        match error {
            CorrectError::Correction(CorrectionError::NoGroup(_) | CorrectionError::NoFace(_))
            | CorrectError::Nothing
            | CorrectError::NoChange(_) => Self::Missing(error.to_string()),
            CorrectError::Correction(error) => Self::Usage(error.to_string()),
            CorrectError::Undo { .. } => Self::Usage(error.to_string()),
            CorrectError::Library(error) => Self::Library(error),
        }
    }
}

impl CliError {
    /// The process exit code (sysexits where one fits; docs/errors.md).
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::Missing(_) | Self::Pack(_) | Self::Vectors(VectorsError::Open { .. }) => 66,
            Self::Vectors(_) | Self::Evaluation(_) => 65,
            #[cfg(feature = "cloud")]
            Self::Refused(_) => 75,
            Self::Models(error) => error.exit_code(),
            Self::Engine(error) => engine_code(error),
            #[cfg(feature = "cloud")]
            Self::Fleet(error) => error.exit().code(),
            #[cfg(feature = "chaos")]
            Self::Chaos(muster_chaos::ChaosError::Stuck { .. } | muster_chaos::ChaosError::Strange { .. }) => 1,
            #[cfg(feature = "chaos")]
            Self::Chaos(_) => 81,
            #[cfg(feature = "cloud")]
            Self::Telemetry(_) => 78,
            #[cfg(feature = "serve")]
            Self::Keys(error) => match error {
                KeysError::Io { .. } => 74,
                KeysError::Damaged { .. } => 78,
                KeysError::Name(_) => 2,
            },
            Self::Json(_) => 70,
            Self::Io(_) | Self::File { .. } => 74,
            Self::DrawnFace(error) => match error {
                DrawnFaceError::Gone | DrawnFaceError::Find(FindFaceError::Unread { .. }) => 66,
                DrawnFaceError::Forgotten | DrawnFaceError::Find(FindFaceError::NoRoom { .. }) => 2,
                DrawnFaceError::Find(FindFaceError::Rejected { .. } | FindFaceError::Changed(_)) => 65,
                DrawnFaceError::OtherModel { .. } => 75,
                DrawnFaceError::Find(FindFaceError::Engine(error)) => engine_code(error),
                DrawnFaceError::Library(error) => library_code(error),
            },
            Self::Library(error) => library_code(error),
            Self::Grouping(_) => 70,
            Self::Settings(_) | Self::Home(_) => 78,
        }
    }
}

fn engine_code(error: &EngineError) -> u8 {
    match error {
        EngineError::Misconfigured(_) => 66,
        EngineError::DeviceLost(_) => 82,
        EngineError::OutOfMemory(_) | EngineError::Gone | EngineError::Sticky(_) => 84,
    }
}

fn library_code(error: &LibraryError) -> u8 {
    match error {
        LibraryError::NotFound(_) | LibraryError::Absent(_) => 66,
        LibraryError::Unread { .. } => 69,
        LibraryError::OtherFolders { .. } => 2,
        LibraryError::Locked { .. } | LibraryError::Busy | LibraryError::Conflict => 75,
        LibraryError::Full | LibraryError::Io { .. } => 74,
        LibraryError::Denied { .. } => 77,
        LibraryError::Foreign(_) | LibraryError::Newer { .. } | LibraryError::Corrupt(_) => 78,
        LibraryError::Invalid(_) | LibraryError::Broken(_) => 70,
    }
}
