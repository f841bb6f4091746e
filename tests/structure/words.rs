//! Words of muster's first vocabulary, which nobody outside knew: no type is called so any more.

use std::fs;
use std::path::{Path, PathBuf};

use walkdir::WalkDir;

/// Names that types had, by what they are called now (docs/glossary.md).
const OLD: &str = "Apart Birth Blow Book Busy Circle Crew Crowd Dirty Duty Ear Ends Ending Extra Fate Flight Front Ground \
                   Heart Here In Keeper Kept Lately Later Leave Leaving Ledger Letter Listener Look Marks Mend Moment \
                   Newcomer Outlet Pace Patience Plant Plight Post Product Published Reached Remark Remote Rights Room Said \
                   Say Seat Served Sighting Speakers Spoken Stamp Storm Stores Strike Ticket Voices Waiter Wanted Weather \
                   Wish Working";

/// Files with these extensions below some folders of the repository.
fn files(folders: &[&str], extension: &str) -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let all = folders.iter().flat_map(|folder| WalkDir::new(root.join(folder)).sort_by_file_name());
    let of = all.filter_map(Result::ok).filter(|entry| entry.path().extension().is_some_and(|is| is == extension));
    let read = |path: &Path| (path.strip_prefix(root).unwrap().to_owned(), fs::read_to_string(path).unwrap());
    of.map(|entry| read(entry.path())).collect()
}

/// The types that a line defines.
fn defined(line: &str) -> Option<&str> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let place = words.iter().position(|word| ["struct", "enum", "trait", "union"].contains(word))?;
    let is_definition = words[..place].iter().all(|word| *word == "pub" || word.starts_with("pub("));
    let name = words.get(place + 1).filter(|_| is_definition)?;
    name.split(|c: char| !c.is_alphanumeric() && c != '_').next()
}

#[test]
fn a_line_defines_a_type_or_none() {
    for (line, expected) in [
        ("pub(crate) struct Keeper {", Some("Keeper")),
        ("    enum Fate<T> {", Some("Fate")),
        ("pub trait Look: Send {", Some("Look")),
        ("pub struct Room(u8);", Some("Room")),
        ("/// A struct Keeper", None),
        ("let kept = Kept::new();", None),
    ] {
        assert_eq!(defined(line), expected, "{line}");
    }
}

#[test]
fn no_type_has_a_name_of_the_old_vocabulary() {
    let old: Vec<&str> = OLD.split_whitespace().collect();
    let mut found = Vec::new();
    for (path, text) in files(&["actors", "src", "deploy", "tests"], "rs") {
        let is_old = |(_, line): &(usize, &str)| defined(line).is_some_and(|name| old.contains(&name));
        found.extend(
            text.lines().enumerate().filter(is_old).map(|(at, line)| format!("{}:{}: {line}", path.display(), at + 1)),
        );
    }
    assert!(found.is_empty(), "give these a name that says what they are: {found:#?}");
}

#[test]
fn no_document_names_a_type_of_the_old_vocabulary() {
    let mut found = Vec::new();
    for (path, text) in files(&["docs"], "md") {
        for name in OLD.split_whitespace().map(|name| format!("`{name}`")) {
            found.extend(text.contains(&name).then(|| format!("{}: {name}", path.display())));
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}
