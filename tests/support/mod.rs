//! What the end-to-end tests share: the real photos, the real models, the real binary, the real servers.
#![allow(dead_code)] // Each test program uses its part.

pub mod batch;
pub mod fleet;
pub mod moody;
pub mod people_page;
pub mod spans;
pub mod stack;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// Nobody listens there: no machine gives out this port.
pub const NOWHERE: &str = "127.0.0.1:1";

/// A folder that `make setup` fills; a test without it fails and says so.
pub fn photos(set: &str) -> PathBuf {
    let root = std::env::var_os("MUSTER_PHOTOS").map_or_else(|| repository().join(".cache/photos"), PathBuf::from);
    let folder = root.join(set);
    assert!(folder.is_dir(), "{} is missing: run `make setup` (or set MUSTER_PHOTOS)", folder.display());
    folder
}

/// The folder of the repository.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Where `make setup` installed models and runtime.
pub fn home() -> PathBuf {
    std::env::var_os("MUSTER_HOME").map_or_else(|| repository().join(".cache/muster"), PathBuf::from)
}

/// The muster binary under test, with the models that `make setup` installed.
pub fn muster() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_muster"));
    if std::env::var_os("MUSTER_HOME").is_none() {
        command.env("MUSTER_HOME", repository().join(".cache/muster"));
    }
    command.env_remove("MUSTER_LIBRARY").env_remove("MUSTER_CONFIG");
    command
}

/// Runs to the end and shows everything when the exit code is not `code`.
pub fn run(command: &mut Command, code: i32) -> Output {
    let output = command.output().unwrap();
    assert_eq!(
        output.status.code(),
        Some(code),
        "{command:?}\n--- stdout\n{}\n--- stderr\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

/// `muster index FOLDER --library LIBRARY --json`, parsed.
pub fn index(folder: &Path, library: &Path) -> Value {
    let output = run(muster().arg("index").arg(folder).arg("--library").arg(library).arg("--json"), 0);
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_states_add_up(&summary);
    summary
}

/// Every image is in exactly one state.
pub fn assert_states_add_up(summary: &Value) {
    let sum: u64 =
        ["indexed", "no_faces", "low_quality", "rejected", "skipped"].iter().map(|key| count(summary, key)).sum();
    assert_eq!(count(summary, "images"), sum, "{summary:#}");
}

/// A count of a summary.
pub fn count(summary: &Value, key: &str) -> u64 {
    summary[key].as_u64().unwrap_or_else(|| panic!("{key} is not a count in {summary:#}"))
}

/// The bytes of `muster export --json`.
pub fn export(library: &Path) -> Vec<u8> {
    run(muster().args(["export", "--json", "--library"]).arg(library), 0).stdout
}

/// Copies every `step`-th file of `from` into `to`.
pub fn link_some(from: &Path, to: &Path, step: usize) {
    let mut files: Vec<_> = std::fs::read_dir(from).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    std::fs::create_dir_all(to).unwrap();
    for file in files.iter().filter(|file| file.extension().is_some_and(|e| e == "jpg")).step_by(step) {
        std::fs::copy(file, to.join(file.file_name().unwrap())).unwrap();
    }
}
