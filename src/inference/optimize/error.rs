//! Errors of deriving a pack.

use std::io;
use std::path::PathBuf;

use muster_actors::ports::engine::EngineError;
use muster_actors::ports::index::IndexError;
use muster_evaluation::scores::ScoreError;

use super::gate;
use crate::onnx::graph::{GraphError, ModelError};
use crate::onnx::pack::PackError;

/// The reason why a pack could not be derived.
#[derive(Debug, thiserror::Error)]
pub enum OptimizeError {
    /// The source is missing or changed, or the derived pack could not be read back.
    #[error(transparent)]
    Pack(#[from] PackError),
    /// A model did not run.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A graph could not be rewritten.
    #[error("{file}: {source}")]
    Graph {
        /// Name of the model's file.
        file: String,
        /// Reason why the graph cannot be rewritten.
        source: GraphError,
    },
    /// A model could not be converted to another precision.
    #[error("{file}: {source}")]
    Model {
        /// Name of the model's file.
        file: String,
        /// Reason why the model cannot be run.
        source: ModelError,
    },
    /// The folder has too few photos or faces.
    #[error("{}: {photos} photos and {faces} faces were found, and {} photos and {} faces are needed: name a folder with more of your photos", folder.display(), 2 * gate::LEAST_PHOTOS, 2 * gate::LEAST_FACES)]
    TooFew {
        /// Path of the folder.
        folder: PathBuf,
        /// Number of photos in it.
        photos: usize,
        /// Number of faces in them.
        faces: usize,
    },
    /// The faces could not be grouped.
    #[error("grouping: {0}")]
    Index(#[from] IndexError),
    /// The groups could not be scored.
    #[error("scoring groups: {0}")]
    Score(#[from] ScoreError),
    /// The derived pack could not be written.
    #[error("{}: {source}", path.display())]
    Io {
        /// Path of the file.
        path: PathBuf,
        /// Error of the system.
        source: io::Error,
    },
    /// A pack of this name exists and was not derived, or the name is not one of a folder.
    #[error("{0:?} is no plain name, or the name of a pack that was not made by optimize: choose another --name")]
    Taken(String),
}

impl OptimizeError {
    /// Returns the exit code of the process: 65 for unsuitable photos (`EX_DATAERR`), 64 for a name that is taken, 66
    /// for models, 74 for files that cannot be written, and 70 for internal errors.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Pack(error) => error.exit_code(),
            Self::Engine(_) | Self::Graph { .. } | Self::Model { .. } => 66,
            Self::TooFew { .. } => 65,
            Self::Index(_) | Self::Score(_) => 70,
            Self::Io { .. } => 74,
            Self::Taken(_) => 64,
        }
    }
}
