//! `muster index` over folders that hold libraries, lose photos, or cannot be read.

use crate::support;

use std::path::Path;

use serde_json::Value;
use support::{count, index, muster, photos, run};

/// Copies photos of some of the ten people into a folder, a file a person: `P001.jpg`, …
fn portraits(folder: &Path, people: std::ops::RangeInclusive<u32>) {
    std::fs::create_dir_all(folder).unwrap();
    for person in people.map(|n| format!("P{n:03}")) {
        let photo = photos("demo").join(&person).join("amateur_selfie.jpg");
        std::fs::copy(photo, folder.join(format!("{person}.jpg"))).unwrap();
    }
}

#[test]
fn a_library_among_photos_gets_a_folder_of_its_own_and_hides_no_photo() {
    let base = tempfile::tempdir().unwrap();
    let base = base.path().canonicalize().unwrap();
    let (pictures, older) = (base.join("pictures"), base.join("older"));
    portraits(&pictures, 1..=2);
    portraits(&older, 3..=3);
    assert_eq!(count(&index(&pictures, &pictures), "images"), 2);
    assert!(!pictures.join("library.db").exists() && pictures.join(".muster/library.db").is_file());
    let people = run(muster().args(["people", "--json", "--library"]).arg(&pictures), 0);
    assert!(people.stdout.starts_with(b"["), "{people:?}");

    // An older release put it among the photos.
    drop(muster_library::Library::create(&older).unwrap());
    assert_eq!(count(&index(&older, &older), "images"), 1);
    assert!(!older.join(".muster").exists());

    let all = index(&base, &base.join("apart"));
    assert_eq!(count(&all, "images"), 3, "{all:#}");
    let others: Vec<&str> = all["other_libraries"].as_array().unwrap().iter().map(|l| l.as_str().unwrap()).collect();
    assert_eq!(others, ["older", "pictures/.muster"]);
    let output = run(muster().arg("index").arg(&base).arg("--library").arg(base.join("apart")), 0);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("Other libraries lie below") && text.contains("\n  pictures/.muster\n"), "{text}");
    assert!(index(&older, &older)["other_libraries"] == Value::Array(vec![]), "its own is no other");
}
