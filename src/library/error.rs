//! Errors of a library, with their remedies.

use std::path::{Path, PathBuf};

use muster_actors::domain::exit::Remedy;
use muster_actors::errors::Class;
use muster_actors::errors::class::Classified;
use muster_actors::ports::faces::FacesError;
use muster_actors::ports::queue::QueueError;
use muster_gallery::{GalleryError, StoreFault};
use rusqlite::ErrorCode;

/// A library cannot be opened, read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LibraryError {
    /// There is none at this place.
    #[error("no library at {}: run `muster index PHOTOS` first, or name one with --library", .0.display())]
    NotFound(PathBuf),
    /// A photo or folder that was named is not there.
    #[error("{} is not there: check the path", .0.display())]
    Absent(PathBuf),
    /// The file is not one of muster's.
    #[error("{} is not a muster library: name another folder with --library", .0.display())]
    Foreign(PathBuf),
    /// Its schema is newer than this program.
    #[error("this library was made by a newer muster (schema {found}, this one knows {known}): update muster")]
    Newer {
        /// Schema version found.
        found: i64,
        /// Newest schema version this program knows.
        known: i64,
    },
    /// Another process writes to it.
    #[error("another muster{} is writing to {}: wait until it is done, or stop it", pid(.holder), .folder.display())]
    Locked {
        /// The library folder.
        folder: PathBuf,
        /// Process id of the writer, where it could be read.
        holder: Option<u32>,
    },
    /// Another process kept the database locked for longer than we wait.
    #[error("the library stayed locked by another process: try again")]
    Busy,
    /// No space left.
    #[error("the disk that holds the library is full: free some space and run the same command again")]
    Full,
    /// No permission.
    #[error("no permission for {}: {message}", .path.display())]
    Denied {
        /// What could not be opened.
        path: PathBuf,
        /// The system's words.
        message: String,
    },
    /// The file is damaged.
    #[error(
        "the library is damaged ({0}): keep a copy, then `sqlite3 library.db .recover | sqlite3 mended.db` saves what \
         can be saved; or delete the folder and index again (names and decisions are lost then)"
    )]
    Corrupt(String),
    /// The disk or file system failed.
    #[error("the disk failed at {}: {message}", .path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// The system's words.
        message: String,
    },
    /// The gallery changed since the snapshot.
    #[error("the gallery changed meanwhile: try again")]
    Conflict,
    /// Photos that are known cannot be read now, so that another model cannot take them over.
    #[error(
        "{photos} photos that the library knows cannot be found or read now, such as {}: make them readable, or say that \
         they were deleted with --accept-removals, and run the same command again; until then the answers of the model \
         before stay", .path.display()
    )]
    Unread {
        /// How many.
        photos: u64,
        /// One of them.
        path: PathBuf,
    },
    /// Another model would look at a part of the photos only.
    #[error(
        "the faces of this library are of the model {before}, and it has photos in {}, which you did not name: name all its \
         folders, so that {after} looks at all of them, or keep the model with --model", .folder.display()
    )]
    OtherFolders {
        /// The model of the library.
        before: String,
        /// The model that was to look.
        after: String,
        /// One folder with other photos.
        folder: PathBuf,
    },
    /// A result that breaks an invariant of the store (a figure that is not finite, a face of another image).
    #[error("not storable: {0}")]
    Invalid(String),
    /// The writer's thread is gone, or a statement is wrong.
    #[error("store: {0}")]
    Broken(String),
}

fn pid(holder: &Option<u32>) -> String {
    holder.map(|pid| format!(" (process {pid})")).unwrap_or_default()
}

impl LibraryError {
    /// From the system's error at a path.
    pub fn io(path: &Path, error: &std::io::Error) -> Self {
        use std::io::ErrorKind::{NotFound, PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
        let (path, message) = (path.to_path_buf(), error.to_string());
        match error.kind() {
            StorageFull | QuotaExceeded => Self::Full,
            PermissionDenied | ReadOnlyFilesystem => Self::Denied { path, message },
            NotFound => Self::NotFound(path),
            _ => Self::Io { path, message },
        }
    }

    /// Whether the whole transaction is lost, so that the rest of a bulk cannot go on without it.
    pub(crate) fn is_fatal(&self) -> bool {
        !matches!(self, Self::Invalid(_))
    }
}

impl From<rusqlite::Error> for LibraryError {
    fn from(error: rusqlite::Error) -> Self {
        let message = error.to_string();
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy,
            Some(ErrorCode::DiskFull) => Self::Full,
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Corrupt(message),
            Some(ErrorCode::PermissionDenied | ErrorCode::ReadOnly | ErrorCode::CannotOpen) => {
                Self::Denied { path: PathBuf::from("library.db"), message }
            }
            Some(ErrorCode::SystemIoFailure) => Self::Io { path: PathBuf::from("library.db"), message },
            // Constraints guard what one result may hold: an image or face that breaks them fails alone.
            Some(ErrorCode::ConstraintViolation) => Self::Invalid(message),
            Some(_) => Self::Broken(message),
            // A column of another type or length than the schema says: the rows are not ours.
            None => match error {
                rusqlite::Error::FromSqlConversionFailure(..)
                | rusqlite::Error::InvalidColumnType(..)
                | rusqlite::Error::IntegralValueOutOfRange(..) => Self::Corrupt(message),
                _ => Self::Broken(message),
            },
        }
    }
}

impl Classified for LibraryError {
    fn class(&self) -> Class {
        match self {
            Self::NotFound(_)
            | Self::Absent(_)
            | Self::Foreign(_)
            | Self::Newer { .. }
            | Self::Unread { .. }
            | Self::OtherFolders { .. }
            | Self::Full
            | Self::Denied { .. }
            | Self::Corrupt(_) => Class::Misconfigured(Remedy::Settings),
            Self::Locked { .. } | Self::Busy | Self::Conflict => Class::Transient,
            Self::Io { .. } => Class::HostFault,
            Self::Invalid(_) => Class::Poison,
            Self::Broken(_) => Class::Bug,
        }
    }
}

impl From<LibraryError> for FacesError {
    fn from(error: LibraryError) -> Self {
        match error {
            LibraryError::Conflict => Self::Conflict,
            other => Self::Failed { class: other.class(), message: other.to_string() },
        }
    }
}

impl From<LibraryError> for StoreFault {
    fn from(error: LibraryError) -> Self {
        let words = error.to_string();
        match error {
            LibraryError::Busy | LibraryError::Locked { .. } | LibraryError::Conflict => Self::Locked(words),
            LibraryError::Full => Self::Full(words),
            LibraryError::NotFound(_)
            | LibraryError::Absent(_)
            | LibraryError::Foreign(_)
            | LibraryError::Newer { .. }
            | LibraryError::Unread { .. }
            | LibraryError::OtherFolders { .. }
            | LibraryError::Denied { .. }
            | LibraryError::Corrupt(_)
            | LibraryError::Io { .. }
            | LibraryError::Invalid(_)
            | LibraryError::Broken(_) => Self::Broken(words),
        }
    }
}

impl From<LibraryError> for GalleryError {
    fn from(error: LibraryError) -> Self {
        Self::Store(error.into())
    }
}

impl From<LibraryError> for QueueError {
    fn from(error: LibraryError) -> Self {
        Self { class: error.class(), message: error.to_string() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sqlite_codes_become_classes() {
        let of = |code: i32| {
            LibraryError::from(rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), Some("why".into())))
        };
        for (code, class) in [
            (rusqlite::ffi::SQLITE_BUSY, Class::Transient),
            (rusqlite::ffi::SQLITE_FULL, Class::Misconfigured(Remedy::Settings)),
            (rusqlite::ffi::SQLITE_CORRUPT, Class::Misconfigured(Remedy::Settings)),
            (rusqlite::ffi::SQLITE_NOTADB, Class::Misconfigured(Remedy::Settings)),
            (rusqlite::ffi::SQLITE_IOERR, Class::HostFault),
            (rusqlite::ffi::SQLITE_CONSTRAINT, Class::Poison),
            (rusqlite::ffi::SQLITE_MISUSE, Class::Bug),
        ] {
            assert_eq!(of(code).class(), class, "code {code}");
        }
    }

    #[test]
    fn a_held_lock_names_its_holder() {
        let error = LibraryError::Locked { folder: "/p/.muster".into(), holder: Some(42) };
        assert!(error.to_string().contains("(process 42)"), "{error}");
    }
}
