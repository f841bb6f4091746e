//! People seen from the side, whom only the moment of their photos tells.

use crate::support;

use std::collections::BTreeMap;

use serde_json::Value;
use support::{export, index, muster, photos, run};

#[test]
fn a_man_and_a_boy_in_profile_are_found_by_the_series_of_their_photos() {
    let folder = tempfile::tempdir().unwrap();
    let library = folder.path().join("library");
    index(&photos("gallery"), &library);
    let exported: Value = serde_json::from_slice(&export(&library)).unwrap();
    let mut groups: BTreeMap<&str, Vec<(&str, &str)>> = BTreeMap::new();
    for face in exported["faces"].as_array().unwrap() {
        let path = face["path"].as_str().unwrap().rsplit('/').next().unwrap();
        if let (Some(group), true) = (face["group"].as_str(), path.starts_with("forest-0706-pat-")) {
            groups.entry(group).or_default().push((path, face["id"].as_str().unwrap()));
        }
    }
    let photos_of = |faces: &Vec<(&str, &str)>| {
        let mut paths: Vec<_> = faces.iter().map(|(path, _)| path.trim_start_matches("forest-0706-pat-")).collect();
        paths.sort_unstable();
        paths.join(" ")
    };
    let mut found: Vec<String> = groups.values().map(photos_of).collect();
    found.sort_unstable();
    assert_eq!(found, ["02.jpg 03.jpg", "02.jpg 03.jpg", "04.jpg 07.jpg"], "the boy, the man, and the man elsewhere");
    let pair = groups.values().find(|faces| photos_of(faces) == "02.jpg 03.jpg").unwrap();
    let explain = ["people", "explain", pair[0].1, pair[1].1, "--json", "--library"];
    let why: Value = serde_json::from_slice(&run(muster().args(explain).arg(&library), 0).stdout).unwrap();
    assert_eq!((&why["rule"]["rule"], &why["path"][0]["one_moment"]), (&"one_moment".into(), &true.into()), "{why:#}");
    let text = String::from_utf8(run(muster().args(&explain[..4]).arg("--library").arg(&library), 0).stdout).unwrap();
    assert!(text.contains("in photos of one moment each is most like the other"), "{text}");
}
