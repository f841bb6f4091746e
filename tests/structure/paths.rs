//! Whether the paths that comments and documents name exist.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use walkdir::WalkDir;

/// Folders whose files are read, and with which a path must begin to be checked.
const FOLDERS: [&str; 6] = ["actors", "config", "deploy", "docs", "src", "tests"];
/// Extensions and names of files that are read for paths.
const TEXTS: [&str; 12] =
    ["cmake", "css", "html", "js", "md", "py", "rs", "sh", "toml", "yaml", "Dockerfile", "Makefile"];
/// Folders that a build or a fuzzer makes: texts may name them, and what lies in them is not read.
const GENERATED: [&str; 3] = ["tests/fuzz/artifacts", "tests/fuzz/corpus", "tests/fuzz/target"];

/// Paths from the root of the repository that a text names. One that goes on with a part to fill in (`docs/{name}.md`) counts up
/// to there.
fn named(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || "_./-".contains(c)));
    words
        .map(|word| word.trim_end_matches(['.', '/', '-']))
        .filter(|word| word.split_once('/').is_some_and(|(folder, _)| FOLDERS.contains(&folder)))
}

#[test]
fn every_path_that_a_text_names_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let generated = |path: &str| GENERATED.iter().any(|folder| path.starts_with(folder));
    let tops = FOLDERS.iter().chain(&["README.md", "CHANGELOG.md", "Makefile", "Cargo.toml", "deny.toml", ".cargo"]);
    let mut found = 0;
    let mut missing = BTreeSet::new();
    for top in tops {
        let shown = |path: &Path| path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
        let walk = WalkDir::new(root.join(top)).into_iter().filter_entry(|entry| !generated(&shown(entry.path())));
        for entry in walk.map(Result::unwrap).filter(|entry| entry.file_type().is_file()) {
            let kind = entry.path().extension().unwrap_or(entry.file_name());
            if !TEXTS.iter().any(|text| kind == OsStr::new(text)) {
                continue;
            }
            let text = fs::read(entry.path()).unwrap();
            for path in named(&String::from_utf8_lossy(&text)).filter(|path| !generated(path)) {
                found += 1;
                if !root.join(path).exists() {
                    missing.insert(format!("{}: {path}", shown(entry.path())));
                }
            }
        }
    }
    assert!(found > 200, "only {found} paths were found: is `named` broken?");
    assert!(missing.is_empty(), "these paths do not exist; name the files as they are called now: {missing:#?}");
}

#[test]
fn paths_are_found_in_tables_and_sentences_and_not_in_addresses() {
    // The folders are put in here, because the test above reads this file too.
    let (src, docs) = ("src", "docs");
    let text = format!("| `{src}/gone.rs` | ({docs}/a-b.md). ../../{src}/x.rs, {src}/{{x}}.rs, https://a.b/{src}/c");
    assert_eq!(named(&text).collect::<Vec<_>>(), [format!("{src}/gone.rs"), format!("{docs}/a-b.md")]);
}
