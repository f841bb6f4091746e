//! The page, in a real browser.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::copy;
use crate::service::Service;
use crate::support::{photos, repository};

#[test]
fn the_page_does_what_people_come_for() {
    let library = copy();
    let service = Service::start(&library.path());
    let venv = std::env::var_os("MUSTER_VENV").map_or_else(|| repository().join(".cache/venv"), PathBuf::from);
    let screenshots = Path::new(env!("CARGO_TARGET_TMPDIR")).join("page");
    let said = Command::new(venv.join("bin/python"))
        .arg(repository().join("tests/browser/page.py"))
        .arg(&service.url)
        .arg(photos("demo").parent().unwrap())
        .arg(&screenshots)
        .output()
        .unwrap_or_else(|error| panic!("{error}: `make setup` installs the browser's driver"));
    let text = String::from_utf8_lossy(&said.stdout);
    assert!(said.status.success(), "{text}\n{}", String::from_utf8_lossy(&said.stderr));
    println!("{text}\nscreenshots are in {}", screenshots.display());
}
