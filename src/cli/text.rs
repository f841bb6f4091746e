//! Parses ids that people type, and formats paths that they read.

use std::fmt;

use muster_actors::domain::face::BBox;

use super::CliError;
pub use muster_gallery::text::{count, printable, short};

/// A box: its size and its top left corner, in pixels of the full upright photo.
pub fn place(b: &BBox) -> String {
    format!("{:.0}x{:.0} at {:.0},{:.0}", b.width, b.height, b.x, b.y)
}

/// Whether text may be the beginning of an id.
pub fn is_id_like(text: &str) -> bool {
    (4..=32).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// The one of those found whose id begins so; `list` is what lists them.
pub fn one<T: fmt::Display>(what: &str, text: &str, found: Vec<T>, list: &str) -> Result<T, CliError> {
    let ids: Vec<String> = found.iter().map(T::to_string).collect();
    let mut found = found.into_iter();
    match (found.next(), found.next()) {
        (Some(id), None) => Ok(id),
        (None, _) => Err(CliError::Missing(format!("no {what} begins with {text}: {list} lists them"))),
        _ => Err(CliError::Usage(format!("several {what}s begin with {text}: {}", ids.join(", ")))),
    }
}
