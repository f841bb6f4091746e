//! Names that travel to other programs and libraries, and back.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{Home, copy_all, portraits};
use crate::support::{count, muster, run};

#[test]
fn names_travel_to_sidecars_and_back_and_whole_libraries_to_others() {
    let home = Home::new();
    home.name_all();
    let originals: Vec<(PathBuf, Vec<u8>)> = portraits("P001")
        .iter()
        .map(|path| home.photos().join("P001").join(path.file_name().unwrap()))
        .map(|path| (path.clone(), std::fs::read(&path).unwrap()))
        .collect();
    let export = || {
        let output = run(muster().args(["export", "--xmp", "--json-summary", "--library"]).arg(home.library()), 0);
        let told: Value = serde_json::from_slice(&output.stdout).unwrap();
        (count(&told, "written"), count(&told, "unchanged"), count(&told, "deleted"))
    };
    assert_eq!(export(), (40, 0, 0));
    assert_eq!(export(), (0, 40, 0));
    for (path, bytes) in &originals {
        assert!(std::fs::read(path).unwrap() == *bytes, "{} was touched", path.display());
    }
    // Another name takes the place of the first; a photo without names has no sidecar.
    home.people(&["name", "Person P001", "Ada"]);
    home.people(&["name", "Person P002", ""]);
    assert_eq!(export(), (4, 32, 4));
    let sidecar = std::fs::read_to_string(format!("{}.xmp", originals[0].0.display())).unwrap();
    assert!(sidecar.contains("Ada") && !sidecar.contains("Person P001"), "{sidecar}");
    // Elsewhere, with nothing but photos and sidecars.
    let other = Home { folder: tempfile::tempdir().unwrap() };
    copy_all(&home.photos(), &other.photos());
    other.index();
    let import = run(muster().args(["import", "--xmp", "--json", "--library"]).arg(other.library()), 0);
    let told: Value = serde_json::from_slice(&import.stdout).unwrap();
    assert_eq!((count(&told, "faces"), told["people"].as_object().unwrap().len()), (36, 9), "{told:#}");
    assert_eq!(other.names().get("Ada"), Some(&BTreeSet::from(["P001".to_owned()])));
    // All that was said, into a third library.
    let third = Home { folder: tempfile::tempdir().unwrap() };
    copy_all(&home.photos(), &third.photos().join("deep/er"));
    third.index();
    let backup = third.folder.path().join("backup.json");
    run(muster().args(["export", "--json", "--output"]).arg(&backup).arg("--library").arg(home.library()), 0);
    run(muster().arg("import").arg(&backup).arg("--library").arg(third.library()), 0);
    assert_eq!(third.names().keys().collect::<Vec<_>>(), home.names().keys().collect::<Vec<_>>());
    third.people(&["undo"]);
    assert!(third.names().is_empty(), "{:?}", third.names());
}

#[test]
fn what_comes_from_elsewhere_takes_nothing_away_that_was_said_here() {
    let home = Home::new();
    home.name_all();
    // Two people of one name stay two, whatever a sidecar says.
    home.people(&["name", "Person P002", "Person P001"]);
    run(muster().args(["export", "--xmp", "--library"]).arg(home.library()), 0);
    let before = home.people(&["list"]);
    run(muster().args(["import", "--xmp", "--library"]).arg(home.library()), 0);
    assert_eq!(home.people(&["list"]), before);
    // A library's own backup changes nothing; a later word here counts over it.
    let backup = home.folder.path().join("backup.json");
    run(muster().args(["export", "--json", "--output"]).arg(&backup).arg("--library").arg(home.library()), 0);
    let import = |file: &Path, code| {
        let output = run(muster().args(["import", "--json"]).arg(file).arg("--library").arg(home.library()), code);
        serde_json::from_slice::<Value>(&output.stdout).unwrap_or_default()
    };
    assert_eq!((count(&import(&backup, 0), "facts"), home.people(&["list"])), (0, before));
    let (_, faces) = home.faces_of("P003");
    home.people(&["not-person", "Person P003", &faces[0]]);
    assert!(count(&import(&backup, 0), "contradicted") > 0);
    let left = home.people(&["show", "Person P003"])["faces"].as_array().unwrap().len();
    assert_eq!(left, faces.len() - 1);
    // A hostile file is refused whole, and the library goes on.
    let face = &faces[0];
    let hostile = home.folder.path().join("hostile.json");
    for fact in [
        format!(
            r#"{{"fact":"place","face":"{face}","place":{{"width":1,"height":1,"box":{{"x":1e39,"y":0,"width":1,"height":1}}}}}}"#
        ),
        format!(r#"{{"fact":"person","id":"{face}","person":{{"name":"A\nB","made_ms":1,"made_by":""}}}}"#),
    ] {
        std::fs::write(&hostile, format!(r#"{{"facts":[{fact}]}}"#)).unwrap();
        let output = muster().arg("import").arg(&hostile).arg("--library").arg(home.library()).output().unwrap();
        assert!(!output.status.success(), "{fact}");
        assert!(home.people(&["list"]).is_array());
    }
}
