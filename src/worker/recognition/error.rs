//! Errors of looking up faces among known people.

use muster_actors::domain::gallery::GalleryId;
use muster_actors::errors::Class;
use muster_actors::errors::class::Classified;
use muster_actors::ports::faces::FacesError;
use muster_actors::ports::index::IndexError;

/// Error of looking up faces among known people.
#[derive(Clone, Debug, thiserror::Error)]
pub enum RecognitionIndexError {
    /// There is no such gallery.
    #[error("there is no gallery {0}")]
    NoGallery(GalleryId),
    /// The gallery cannot be read.
    #[error(transparent)]
    Store(#[from] FacesError),
    /// The index failed.
    #[error(transparent)]
    Index(#[from] IndexError),
}

impl Classified for RecognitionIndexError {
    fn class(&self) -> Class {
        match self {
            Self::NoGallery(_) => Class::Poison,
            Self::Store(error) => error.class(),
            Self::Index(_) => Class::Bug,
        }
    }
}
