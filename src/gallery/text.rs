//! Formats ids, names and counts for people.

use std::fmt;

/// Shortens an id to its first eight digits, as ids are shown to people.
pub fn short(id: impl fmt::Display) -> String {
    let mut id = id.to_string();
    id.truncate(8);
    id
}

/// Escapes control characters in text from file names and people, so that it is safe for a terminal.
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

/// Formats a count with its noun: `1 face`, `2 faces`.
pub fn count(n: u64, noun: &str) -> String {
    if n == 1 { format!("1 {noun}") } else { format!("{n} {noun}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_drive_the_terminal() {
        assert_eq!(printable("a\x1b[2J\nb\u{202e}gpj.ü"), "a\\u{1b}[2J\\nb\\u{202e}gpj.ü");
    }
}
