//! `muster evaluate`: figures from labelled vectors, and what is said of files that are none.

use std::path::Path;

use serde_json::Value;

use crate::support::{muster, run};

/// A file of NumPy's format with these rows.
fn npy(rows: &[[f32; 4]]) -> Vec<u8> {
    let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}, 4), }}\n", rows.len());
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(rows.as_flattened().iter().flat_map(|v| v.to_le_bytes()));
    bytes
}

/// Two people of three faces each, a stranger, and somebody unknown in a photo of the first.
fn write(folder: &Path) {
    let [ada, bob, cy] = [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]];
    let (turned, unknown) = ([0.0, 0.8, 0.0, 0.6], [-0.6, -0.8, 0.0, 0.0]);
    // Other shots of both: the same again would be copies.
    let (ada_again, bob_again) = ([0.8, 0.0, 0.0, 0.6], [0.0, 0.8, 0.6, 0.0]);
    let rows = [ada, bob, ada_again, turned, ada, bob_again, cy, unknown];
    std::fs::write(folder.join("faces.npy"), npy(&rows)).unwrap();
    let labels = "photo,person,overall\n0,Ada,1\n1,Bob,1\n2,Ada,0.9\n3,Bob,0.9\n4,Ada,0.8\n5,Bob,1\n6,Cy,1\n0,-1,1\n";
    std::fs::write(folder.join("faces.csv"), labels).unwrap();
}

const VECTORS: [&str; 5] = ["evaluate", "--vectors", "faces.npy", "--labels", "faces.csv"];

#[test]
fn vectors_and_labels_are_scored_beside_peers() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path());
    let json = |more: &[&str]| -> Value {
        let output = run(muster().args(VECTORS).args(["--json"]).args(more).current_dir(folder.path()), 0);
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let alone = json(&[]);
    let rows = alone["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 1, "{alone:#}");
    let scores = &rows[0]["scores"];
    assert_eq!(rows[0]["method"], "muster");
    assert_eq!((&alone["faces"], &scores["faces"], &scores["strangers"]), (&8.into(), &7.into(), &1.into()));
    assert_eq!((&scores["b_cubed"]["f"], &scores["groups"]), (&1.0.into(), &2.into()), "{alone:#}");
    let beside = json(&["--peers"]);
    assert_eq!(beside["rows"].as_array().unwrap().len(), 13, "{beside:#}");
    let output = run(muster().args(VECTORS).arg("--markdown").current_dir(folder.path()), 0);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("| Method | Setting |") && text.contains("| muster | open@"), "{text}");
}

#[test]
fn synthetic_faces_are_the_same_for_a_seed() {
    let table = |seed: &str| {
        let output = run(muster().args(["evaluate", "--synthetic", "children", "--seed", seed]), 0);
        String::from_utf8(output.stdout).unwrap()
    };
    let first = table("3");
    assert!(first.starts_with("Synthetic children, seed 3: "), "{first}");
    assert_eq!(first, table("3"));
    assert_ne!(first.lines().nth(3), table("4").lines().nth(3));
}

#[test]
fn files_that_are_none_say_so() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path());
    std::fs::write(folder.path().join("short.csv"), "photo,person\n0,Ada\n").unwrap();
    std::fs::create_dir(folder.path().join("empty")).unwrap();
    let table: [(&[&str], i32, &str); 8] = [
        (&["evaluate"], 2, "PHOTOS"),
        (&["evaluate", "--vectors", "faces.npy"], 2, "--labels"),
        (&["evaluate", "empty", "--seed", "3"], 2, "--seed"),
        (&["evaluate", "--synthetic", "mixed", "--library", "empty"], 2, "--library"),
        (&["evaluate", "--vectors", "gone.npy", "--labels", "faces.csv"], 66, "gone.npy cannot be opened"),
        (&["evaluate", "--vectors", "faces.csv", "--labels", "faces.csv"], 65, "not a file of NumPy's format"),
        (&["evaluate", "--vectors", "faces.npy", "--labels", "short.csv"], 65, "8 vectors and 1 labels"),
        (&["evaluate", "empty"], 66, "a folder of their own"),
    ];
    for (arguments, code, told) in table {
        let output = run(muster().args(arguments).current_dir(folder.path()), code);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains(told), "{arguments:?}: {said}");
    }
}
