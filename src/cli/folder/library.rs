//! What the commands over a library share: which library, and whose ids are typed.

use std::path::PathBuf;

use muster_actors::domain::face::FaceId;
use muster_actors::domain::gallery::GroupId;

use crate::cli::CliError;
use crate::cli::text::{is_id_like, one, printable};
use muster_library::{Library, view};

/// Which library.
#[derive(Debug, Clone, clap::Args)]
pub struct LibraryArgs {
    /// The library's folder, or the photo folder it is in [default: ./.muster]
    #[arg(long, global = true, value_name = "DIR", env = "MUSTER_LIBRARY")]
    pub library: Option<PathBuf>,
}

impl LibraryArgs {
    /// For reading, beside whoever writes.
    pub fn read(&self) -> Result<Library, CliError> {
        Ok(Library::read(&Library::find(self.library.as_deref())?)?)
    }

    /// For writing.
    pub fn write(&self) -> Result<Library, CliError> {
        Ok(Library::open(&Library::find(self.library.as_deref())?)?)
    }
}

/// The one group whose id begins so; an id that went into another by a merge leads there.
pub fn group(library: &Library, text: &str) -> Result<GroupId, CliError> {
    one("group", text, view::groups_like(library.db(), check(text)?)?, "`muster people`")
}

/// The one face whose id begins so.
pub fn face(library: &Library, text: &str) -> Result<FaceId, CliError> {
    one("face", text, view::faces_like(library.db(), check(text)?)?, "`muster people show GROUP`")
}

fn check(text: &str) -> Result<&str, CliError> {
    if is_id_like(text) {
        return Ok(text);
    }
    Err(CliError::Usage(format!("{:?} is not an id: give at least 4 of its hexadecimal digits", printable(text))))
}
