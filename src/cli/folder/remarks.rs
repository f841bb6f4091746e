//! What a person should know after `muster index` beside the figures, in sentences.

use super::outcome::{Outcome, SHOWN, short};
use crate::cli::text::{count, printable};

impl Outcome {
    /// The remarks, a line each.
    pub fn remarks(&self) -> String {
        self.about_libraries()
    }

    fn about_libraries(&self) -> String {
        let found = &self.other_libraries;
        if found.is_empty() {
            return String::new();
        }
        let mut text = String::from(
            "Other libraries lie below these folders. Photos beside them were indexed here as well, but the names \
             given there are not known here (`muster people --library FOLDER` shows them):\n",
        );
        found.iter().take(SHOWN).for_each(|folder| text.push_str(&format!("  {}\n", short(&printable(folder)))));
        if found.len() > SHOWN {
            text.push_str(&format!("  and {} more\n", count((found.len() - SHOWN) as u64, "folder")));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_libraries_are_named() {
        let other_libraries = (1..=22).map(|n| format!("{n}/.muster")).collect();
        let text = Outcome { other_libraries, ..Outcome::default() }.remarks();
        assert!(text.contains("names given there are not known here"), "{text}");
        assert!(text.contains("\n  1/.muster\n") && text.contains("\n  20/.muster\n"), "{text}");
        assert!(text.ends_with("  and 2 folders more\n"), "{text}");
        assert_eq!(Outcome::default().remarks(), "");
    }
}
