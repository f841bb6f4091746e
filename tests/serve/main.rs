//! `muster serve` as its callers know it: a real process over real photos.

#[path = "../support/mod.rs"]
mod support;

mod corrections;
mod description;
mod hostile;
mod identities;
mod jobs;
mod limits;
mod page;
mod service;
mod split;

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use support::{index, photos};

/// The demo photos with a library beside them, made once; each test has a copy. A face's id follows from where its photo lies below
/// the library's folder, and whom it is grouped with may depend on ids: so they are the same on every machine.
fn demo() -> &'static Path {
    static FOLDER: OnceLock<tempfile::TempDir> = OnceLock::new();
    FOLDER
        .get_or_init(|| {
            let folder = tempfile::tempdir().unwrap();
            copy_into(&photos("demo"), &folder.path().join("demo"));
            index(&folder.path().join("demo"), &folder.path().join("library"));
            folder
        })
        .path()
}

fn copy_into(from: &Path, to: &Path) {
    for entry in walkdir::WalkDir::new(from) {
        let entry = entry.unwrap();
        let place = to.join(entry.path().strip_prefix(from).unwrap());
        if entry.file_type().is_dir() {
            std::fs::create_dir_all(place).unwrap();
        } else {
            std::fs::copy(entry.path(), place).unwrap();
        }
    }
}

/// A library that a test may change, and its photos.
struct Copy {
    folder: tempfile::TempDir,
}

impl Copy {
    /// The library.
    fn path(&self) -> PathBuf {
        self.folder.path().join("library")
    }
}

fn copy() -> Copy {
    let folder = tempfile::tempdir().unwrap();
    copy_into(demo(), folder.path());
    Copy { folder }
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
