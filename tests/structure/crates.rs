//! Which crates of ours use which, and what some of them never reach.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

/// Each crate, and those of ours that it may depend on. docs/architecture.md shows the same table to people; the reasons are in
/// docs/adr/0018-the-crates-of-src.md.
const CRATES: [(&str, &[&str]); 17] = [
    ("muster-actors", &[]),
    ("muster-config", &["actors"]),
    ("muster-vision", &["actors"]),
    ("muster-index", &["actors"]),
    ("muster-gallery", &["actors"]),
    ("muster-evaluation", &["actors"]),
    ("muster-xmp", &[]),
    ("muster-inference", &["actors", "config", "evaluation", "index", "vision"]),
    ("muster-library", &["actors", "config", "gallery", "index", "inference", "xmp"]),
    ("muster-aws", &["actors", "config"]),
    ("muster-stores", &["actors", "aws", "config", "gallery"]),
    ("muster-telemetry", &["actors", "aws", "config"]),
    ("muster-worker", &["actors", "aws", "config", "gallery", "index", "inference", "stores", "telemetry"]),
    ("muster-http", &["actors", "aws", "config", "gallery", "index", "library", "stores", "telemetry", "worker"]),
    ("muster-chaos", &["actors", "aws", "config"]),
    ("muster-submitter", &["actors", "aws", "config"]),
    (
        "muster",
        &[
            "actors",
            "aws",
            "chaos",
            "config",
            "evaluation",
            "gallery",
            "http",
            "inference",
            "library",
            "stores",
            "telemetry",
            "vision",
            "worker",
        ],
    ),
];

/// What the program over a folder alone depends on; all else of ours is behind a feature.
const FOLDER: [&str; 7] = ["actors", "config", "evaluation", "gallery", "inference", "library", "vision"];

/// Edges between crates of ours that no row of `allowed` has, and rows without a crate.
fn faults(allowed: &[(&str, &[&str])], found: &BTreeMap<String, BTreeSet<String>>) -> Vec<String> {
    let mut faults = Vec::new();
    for (name, edges) in found {
        let Some((_, row)) = allowed.iter().find(|(allowed, _)| allowed == name) else {
            faults.push(format!("{name} has no row"));
            continue;
        };
        let strange = edges.iter().filter(|edge| !row.contains(&edge.trim_start_matches("muster-")));
        faults.extend(strange.map(|edge| format!("{name} depends on {edge}")));
        let unused = row.iter().filter(|allowed| !edges.contains(&format!("muster-{allowed}")));
        faults.extend(unused.map(|allowed| format!("{name} may depend on {allowed}, and does not")));
    }
    let gone = allowed.iter().filter(|(name, _)| !found.contains_key(*name));
    faults.extend(gone.map(|(name, _)| format!("there is no crate {name}")));
    faults
}

/// The crates of the workspace with the crates of ours that each is built from; those of tests do not count. With `optional`
/// also those that a feature adds.
fn workspace(optional: bool) -> BTreeMap<String, BTreeSet<String>> {
    let asked = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version", "1", "--offline", "--locked"])
        .output()
        .unwrap();
    assert!(asked.status.success(), "{}", String::from_utf8_lossy(&asked.stderr));
    let metadata: Value = serde_json::from_slice(&asked.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let edges = |package: &Value| {
        let all = package["dependencies"].as_array().unwrap().iter();
        let built = all.filter(|edge| edge["kind"].is_null() && (optional || edge["optional"] == false));
        built.map(|edge| edge["name"].as_str().unwrap().to_owned()).filter(|name| name.starts_with("muster")).collect()
    };
    packages.iter().map(|package| (package["name"].as_str().unwrap().to_owned(), edges(package))).collect()
}

#[test]
fn the_crates_depend_on_each_other_as_the_table_says() {
    let faults = faults(&CRATES, &workspace(true));
    assert!(faults.is_empty(), "change this table and the one in docs/architecture.md, with a reason: {faults:#?}");
}

#[test]
fn the_program_over_a_folder_depends_on_nothing_of_a_fleet() {
    let folder: BTreeSet<String> = FOLDER.map(|name| format!("muster-{name}")).into();
    assert_eq!(workspace(false)["muster"], folder);
}

#[test]
fn an_edge_that_is_not_in_the_table_is_found_and_so_is_a_row_that_is_not_true() {
    let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<String>>();
    let found = BTreeMap::from([
        ("muster-a".to_owned(), set(&["muster-b", "muster-c"])),
        ("muster-b".to_owned(), set(&[])),
        ("muster-c".to_owned(), set(&[])),
    ]);
    let allowed: [(&str, &[&str]); 3] = [("muster-a", &["b"]), ("muster-b", &["c"]), ("muster-d", &[])];
    let expected = [
        "muster-a depends on muster-c",
        "muster-b may depend on c, and does not",
        "muster-c has no row",
        "there is no crate muster-d",
    ];
    assert_eq!(faults(&allowed, &found), expected);
}

/// Packages that reach the outside, and that the crates of the domain must not.
const ADAPTERS: [&str; 17] = [
    "ort",
    "faiss",
    "rusqlite",
    "turbojpeg",
    "image",
    "kamadak-exif",
    "cudarc",
    "nvml-wrapper",
    "mongodb",
    "redis",
    "aws-sdk-sqs",
    "aws-sdk-s3",
    "aws-sdk-batch",
    "aws-sdk-cloudwatch",
    "aws-sdk-ecs",
    "notify",
    "clap",
];

/// Every package that a package needs at run time, itself included.
fn reached(package: &str, features: &[&str]) -> BTreeSet<String> {
    // `cargo tree` asks only for the packages of this platform, which a build has fetched already.
    let tree = Command::new(env!("CARGO"))
        .args(["tree", "--package", package, "--edges", "normal"])
        .args(features)
        .args(["--prefix", "none", "--format", "{p}", "--offline", "--locked"])
        .output()
        .unwrap();
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    let tree = String::from_utf8(tree.stdout).unwrap();
    tree.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

#[test]
fn the_actors_reach_no_adapter_crate() {
    let reached = reached("muster-actors", &["--all-features"]);
    assert!(reached.contains("actix"), "the tree has no dependency at all: {reached:?}");
    let adapters: Vec<_> = ADAPTERS.iter().filter(|adapter| reached.contains(**adapter)).collect();
    assert!(adapters.is_empty(), "actors/ depends on {adapters:?}; adapters belong in src/");
}

#[test]
fn the_lambda_function_has_no_model_no_vision_and_no_database_in_it() {
    let reached = reached("muster-submitter", &[]);
    assert!(reached.contains("aws-sdk-batch"), "the tree has no dependency at all: {reached:?}");
    let kept_out = ADAPTERS.iter().filter(|adapter| !adapter.starts_with("aws-sdk"));
    let heavy: Vec<_> = kept_out.filter(|adapter| reached.contains(**adapter)).collect();
    assert!(
        heavy.is_empty(),
        "deploy/submitter depends on {heavy:?}; of muster it needs actors, src/config and src/aws alone"
    );
}
