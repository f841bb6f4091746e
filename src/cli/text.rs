//! Ids as people type them.

use std::fmt;

use super::CliError;
pub use muster_gallery::text::{count, printable, short};

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
