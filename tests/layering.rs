//! The crate `actors` reaches no adapter crate, by any path.

use std::collections::BTreeSet;
use std::process::Command;

const ADAPTERS: [&str; 14] = [
    "ort",
    "faiss",
    "rusqlite",
    "turbojpeg",
    "image",
    "kamadak-exif",
    "cudarc",
    "mongodb",
    "redis",
    "aws-sdk-sqs",
    "aws-sdk-s3",
    "aws-sdk-batch",
    "notify",
    "clap",
];

#[test]
fn the_actors_reach_no_adapter_crate() {
    // `cargo tree` asks only for the packages of this platform, which a build has fetched already.
    let tree = Command::new(env!("CARGO"))
        .args(["tree", "--package", "muster-actors", "--all-features", "--edges", "normal"])
        .args(["--prefix", "none", "--format", "{p}", "--offline", "--locked"])
        .output()
        .unwrap();
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    let tree = String::from_utf8(tree.stdout).unwrap();
    let reached: BTreeSet<_> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
    assert!(reached.contains("actix"), "the tree has no dependency at all: {tree}");
    let adapters: Vec<_> = ADAPTERS.iter().filter(|adapter| reached.contains(**adapter)).collect();
    assert!(adapters.is_empty(), "actors/ depends on {adapters:?}; adapters belong in src/");
}
