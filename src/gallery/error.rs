//! Errors of reading and changing a gallery.

use muster_actors::domain::exit::Exit;
use muster_actors::domain::gallery::GalleryId;
use muster_actors::errors::Class;
use muster_actors::errors::class::Classified;
use muster_actors::people::CorrectionError;
use muster_actors::people::undo::UndoError;
use muster_actors::ports::faces::FacesError;
use muster_actors::ports::index::IndexError;

/// Error of reading or changing a gallery.
#[derive(Debug, thiserror::Error)]
pub enum GalleryError {
    /// There is no such gallery.
    #[error("there is no gallery {0}")]
    NoGallery(GalleryId),
    /// The request named no gallery, and the service has no gallery of its own.
    #[error("no gallery was named, and the service has none of its own")]
    WhichGallery,
    /// The correction does not fit the groups.
    #[error(transparent)]
    Correction(#[from] CorrectionError),
    /// There is no change that could be undone.
    #[error("nothing to take back")]
    Nothing,
    /// There is no such change.
    #[error("there is no change {0} in the history")]
    NoChange(u64),
    /// The change cannot be undone.
    #[error("change {change} cannot be taken back: {error}")]
    Undo {
        /// Number of the change.
        change: u64,
        /// Reason why it cannot be undone.
        error: UndoError,
    },
    /// The gallery is being written to all the time.
    #[error("the gallery changes all the time")]
    Busy,
    /// Grouping failed; earlier corrections are kept.
    #[error("grouping failed: {0}")]
    Grouping(#[from] IndexError),
    /// A face cannot be added to a photo.
    #[error(transparent)]
    AddFace(#[from] AddFaceError),
    /// The store that holds the gallery failed.
    #[error(transparent)]
    Store(#[from] StoreFault),
}

/// Why a face cannot be added to a photo.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddFaceError {
    /// The models run elsewhere, and analyse whole photos only.
    #[error("the models of this service run elsewhere: faces can be added where `muster serve` runs over a library")]
    Elsewhere,
    /// The box can hold no face.
    #[error("{0}")]
    Box(String),
    /// A face was forgotten at this place.
    #[error("{0}")]
    Forgotten(String),
    /// The photo is not what was indexed.
    #[error("{0}")]
    Changed(String),
    /// The models failed.
    #[error("{0}")]
    Models(String),
}

/// Errors of a gallery's store, by what a caller can do about them. Each has the store's own message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreFault {
    /// Another process holds the store; the same call may succeed in a moment.
    #[error("{0}")]
    Locked(String),
    /// The disk is full.
    #[error("{0}")]
    Full(String),
    /// A dependency does not answer.
    #[error("{0}")]
    Unavailable(String),
    /// Any other error.
    #[error("{0}")]
    Broken(String),
}

impl StoreFault {
    /// The fault of a store of services, from the class of its error and its words.
    pub fn from_class(class: Class, words: String) -> Self {
        match class {
            class if class.passes() => Self::Unavailable(words),
            Class::Misconfigured(mend) => Self::Broken(Exit::Misconfigured(mend, words).to_string()),
            _ => Self::Broken(Exit::Bug(words).to_string()),
        }
    }
}

impl From<FacesError> for GalleryError {
    fn from(error: FacesError) -> Self {
        StoreFault::from_class(error.class(), error.to_string()).into()
    }
}
