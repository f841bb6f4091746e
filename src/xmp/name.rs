//! Checks and cleans the names of people that are read and written.

use crate::XmpError;
use crate::limits::MAX_NAME_CHARS;

/// Returns whether XML 1.0 and a list of names can contain the character.
fn is_printable(character: char) -> bool {
    !character.is_control() && !matches!(character, '\u{fffe}' | '\u{ffff}')
}

/// Removes control characters from a name (line breaks and tabs become spaces), and spaces from its
/// ends. `None` where nothing is left.
fn without_controls(name: &str) -> Option<String> {
    let spaced = name.chars().map(|c| if matches!(c, '\t' | '\n' | '\r') { ' ' } else { c });
    let name: String = spaced.filter(|&c| is_printable(c)).collect();
    let name = name.trim();
    (!name.is_empty()).then(|| name.to_owned())
}

/// Returns a name from outside without control characters; `None` for a name that is empty or too
/// long.
pub(crate) fn clean_name(name: &str) -> Option<String> {
    without_controls(name).filter(|name| name.chars().count() <= MAX_NAME_CHARS)
}

/// Returns a name that is to be written, without control characters.
///
/// # Errors
/// `EmptyName`, `NameTooLong`.
pub(crate) fn check_name(name: &str) -> Result<String, XmpError> {
    let name = without_controls(name).ok_or(XmpError::EmptyName)?;
    let characters = name.chars().count();
    if characters > MAX_NAME_CHARS { Err(XmpError::NameTooLong(characters)) } else { Ok(name) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_and_outer_spaces_go() {
        let table = [
            (" Anna\u{0}\u{7} Maria\n", Some("Anna Maria")),
            ("Anna\tMaria", Some("Anna Maria")),
            ("\u{85}\u{ffff}", None),
            ("   ", None),
            ("Зоя 山田", Some("Зоя 山田")),
        ];
        for (name, clean) in table {
            assert_eq!(clean_name(name).as_deref(), clean);
            assert_eq!(check_name(name).ok().as_deref(), clean);
        }
    }

    #[test]
    fn names_have_at_most_two_hundred_characters() {
        assert_eq!(clean_name(&"é".repeat(200)).map(|name| name.chars().count()), Some(200));
        assert_eq!(clean_name(&"é".repeat(201)), None);
        assert_eq!(check_name(&"é".repeat(201)), Err(XmpError::NameTooLong(201)));
        assert_eq!(check_name("\n"), Err(XmpError::EmptyName));
    }
}
