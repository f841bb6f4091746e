//! What the crates `actors` and `deploy/submitter` never reach, by any path.

use std::collections::BTreeSet;
use std::process::Command;

const ADAPTERS: [&str; 15] = [
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
    assert!(heavy.is_empty(), "deploy/submitter depends on {heavy:?}: what it needs has the feature `submit`");
}
