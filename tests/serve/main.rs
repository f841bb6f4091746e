//! `muster serve` as its callers know it: a real process over real photos.

#[path = "../support/mod.rs"]
mod support;

mod corrections;
mod description;
mod hostile;
mod identities;
mod limits;
mod page;
mod service;

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use support::{index, photos};

/// A library of the demo photos, made once; each test has a copy.
fn demo() -> &'static Path {
    static LIBRARY: OnceLock<tempfile::TempDir> = OnceLock::new();
    LIBRARY
        .get_or_init(|| {
            let folder = tempfile::tempdir().unwrap();
            index(&photos("demo"), folder.path());
            folder
        })
        .path()
}

fn copy() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for file in std::fs::read_dir(demo()).unwrap().map(|file| file.unwrap()) {
        std::fs::copy(file.path(), folder.path().join(file.file_name())).unwrap();
    }
    folder
}

/// Portraits of the ten people, four each: photos that are no sheet of many.
fn portraits() -> Vec<(String, Vec<PathBuf>)> {
    let people = (1..=10).map(|n| {
        let name = format!("P{n:03}");
        let folder = photos("demo").join(&name);
        let mut files: Vec<PathBuf> = std::fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path()).collect();
        files.retain(|file| !file.to_string_lossy().contains("sheet"));
        files.sort();
        assert_eq!(files.len(), 4, "{folder:?}");
        (name, files)
    });
    people.collect()
}
