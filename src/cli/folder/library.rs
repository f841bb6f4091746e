//! Arguments that commands over a library share: the library, and ids that people type.

use std::path::PathBuf;

use muster_actors::domain::face::FaceId;
use muster_actors::domain::gallery::GroupId;

use crate::cli::CliError;
use crate::cli::text::{is_id_like, one, printable, short};
use muster_gallery::view::Person;
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

    /// For corrections, beside whoever indexes.
    pub fn amend(&self) -> Result<Library, CliError> {
        Ok(Library::amend(&Library::find(self.library.as_deref())?)?)
    }

    /// For writing.
    pub fn write(&self) -> Result<Library, CliError> {
        Ok(Library::open(&Library::find(self.library.as_deref())?)?)
    }
}

/// The one group whose id begins so, or the one person of that name; an id that went into another by a merge leads
/// there. Upper and lower case are one in names.
pub fn group(library: &Library, text: &str) -> Result<GroupId, CliError> {
    let wanted = text.trim().to_lowercase();
    let is_called = |person: &Person| person.name.as_ref().is_some_and(|name| name.to_lowercase() == wanted);
    let named: Vec<Person> = view::people(library.db())?.into_iter().filter(is_called).collect();
    match &named[..] {
        [one] => Ok(one.id),
        [] if is_id_like(text) => one("group", text, view::groups_like(library.db(), text)?, "`muster people`"),
        [] => Err(CliError::Missing(format!(
            "nobody is called {:?}, and it is not the beginning of an id: `muster people` lists people and ids",
            printable(text)
        ))),
        several => {
            let ids: Vec<String> = several.iter().map(|person| short(person.id)).collect();
            Err(CliError::Usage(format!(
                "several people are called {}: say which by id: {}",
                printable(text),
                ids.join(", ")
            )))
        }
    }
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
