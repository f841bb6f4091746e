//! The page, in a real browser.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::copy;
use crate::service::Service;
use crate::support::{photos, repository};

/// Runs the checks of the page whose names hold one of these parts, or all; screenshots go into a folder of this name.
pub fn browse(service: &Service, screenshots: &str, only: &[&str]) {
    let venv = std::env::var_os("MUSTER_VENV").map_or_else(|| repository().join(".cache/venv"), PathBuf::from);
    let screenshots = Path::new(env!("CARGO_TARGET_TMPDIR")).join(screenshots);
    let said = Command::new(venv.join("bin/python"))
        .arg(repository().join("tests/browser/page.py"))
        .arg(&service.url)
        .arg(photos("demo").parent().unwrap())
        .arg(&screenshots)
        .args(only.iter().flat_map(|part| ["--only", part]))
        .output()
        .unwrap_or_else(|error| panic!("{error}: `make setup` installs the browser's driver"));
    let text = String::from_utf8_lossy(&said.stdout);
    assert!(said.status.success(), "{text}\n{}", String::from_utf8_lossy(&said.stderr));
    let checks = text.lines().filter(|line| line.starts_with("ok")).count();
    assert!(checks >= only.len().max(1), "{text}");
    println!("{text}\nscreenshots are in {}", screenshots.display());
}

#[test]
fn the_page_does_what_people_come_for() {
    let library = copy();
    browse(&Service::start(&library.path()), "page", &[]);
}
