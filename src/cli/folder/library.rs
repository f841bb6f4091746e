//! What the commands over a library share: which library, and ids as people type them.

use std::fmt;
use std::path::PathBuf;

use muster_actors::face::FaceId;
use muster_actors::gallery::GroupId;

use crate::cli::CliError;
use crate::local::{Library, view};

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

/// The first eight digits of an id: how ids are shown to people.
pub fn short(id: impl fmt::Display) -> String {
    let mut id = id.to_string();
    id.truncate(8);
    id
}

/// Text from file names and people, safe for a terminal: control characters are escaped.
pub fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        // Bidirectional overrides can make one name look like another.
        if c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}') {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown
}

/// `1 face`, `2 faces`.
pub fn count(n: u64, noun: &str) -> String {
    if n == 1 { format!("1 {noun}") } else { format!("{n} {noun}s") }
}

/// Whether text may be the beginning of an id.
pub fn is_id_like(text: &str) -> bool {
    (4..=32).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// The one group whose id begins so; an id that went into another by a merge leads there.
pub fn group(library: &Library, text: &str) -> Result<GroupId, CliError> {
    one("group", text, view::groups_like(library.db(), check(text)?)?, "muster people")
}

/// The one face whose id begins so.
pub fn face(library: &Library, text: &str) -> Result<FaceId, CliError> {
    one("face", text, view::faces_like(library.db(), check(text)?)?, "muster people show GROUP")
}

fn check(text: &str) -> Result<&str, CliError> {
    if is_id_like(text) {
        return Ok(text);
    }
    Err(CliError::Usage(format!("{:?} is not an id: give at least 4 of its hexadecimal digits", printable(text))))
}

fn one<T: fmt::Display>(what: &str, text: &str, found: Vec<T>, list: &str) -> Result<T, CliError> {
    let ids: Vec<String> = found.iter().map(T::to_string).collect();
    let mut found = found.into_iter();
    match (found.next(), found.next()) {
        (Some(id), None) => Ok(id),
        (None, _) => Err(CliError::Missing(format!("no {what} begins with {text}: `{list}` lists them"))),
        _ => Err(CliError::Usage(format!("several {what}s begin with {text}: {}", ids.join(", ")))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_drive_the_terminal() {
        assert_eq!(printable("a\x1b[2J\nb\u{202e}gpj.ü"), "a\\u{1b}[2J\\nb\\u{202e}gpj.ü");
    }
}
