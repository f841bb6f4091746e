//! Why a gallery cannot be read or changed.

use muster_actors::domain::gallery::GalleryId;
use muster_actors::grouping::say::SayError;
use muster_actors::ports::faces::FacesError;
use muster_actors::ports::index::IndexError;

use crate::aws::classify::Fault;
use crate::fleet::FleetError;
use crate::local::LibraryError;
use crate::local::change::ChangeError;
use crate::mongo::MongoError;

/// Why a gallery cannot be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum AlbumError {
    /// There is no such gallery.
    #[error("there is no gallery {0}")]
    NoGallery(GalleryId),
    /// None was named, and the service has none of its own.
    #[error("no gallery was named, and the service has none of its own")]
    WhichGallery,
    /// It makes no sense as the groups stand.
    #[error(transparent)]
    Say(#[from] SayError),
    /// The log is empty.
    #[error("nothing to take back")]
    Nothing,
    /// The gallery is being written to all the time.
    #[error("the gallery changes all the time")]
    Busy,
    /// Grouping failed; what was said before is kept.
    #[error("grouping failed: {0}")]
    Grouping(#[from] IndexError),
    /// The library failed.
    #[error(transparent)]
    Library(#[from] LibraryError),
    /// The fleet's stores failed.
    #[error(transparent)]
    Fleet(#[from] FleetError),
}

impl From<ChangeError> for AlbumError {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::Say(error) => Self::Say(error),
            ChangeError::Nothing => Self::Nothing,
            ChangeError::Grouping(error) => Self::Grouping(error),
            ChangeError::Library(error) => Self::Library(error),
        }
    }
}

impl From<MongoError> for AlbumError {
    fn from(error: MongoError) -> Self {
        Self::Fleet(error.into())
    }
}

impl From<FacesError> for AlbumError {
    fn from(error: FacesError) -> Self {
        Self::Fleet(error.into())
    }
}

impl From<Fault> for AlbumError {
    fn from(fault: Fault) -> Self {
        Self::Fleet(FleetError::Aws(fault))
    }
}
