//! The crate `actors` reaches no adapter crate, by any path.

use std::collections::BTreeSet;

use cargo_metadata::{DependencyKind, MetadataCommand};

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
    let metadata = MetadataCommand::new().other_options(vec!["--offline".into(), "--locked".into()]).exec().unwrap();
    let resolve = metadata.resolve.as_ref().unwrap();
    let name = |id: &cargo_metadata::PackageId| metadata[id].name.to_string();
    let start = resolve.nodes.iter().find(|node| name(&node.id) == "muster-actors").unwrap();
    let (mut open, mut seen) = (vec![start], BTreeSet::new());
    while let Some(node) = open.pop() {
        for dep in &node.deps {
            if dep.dep_kinds.iter().any(|kind| kind.kind == DependencyKind::Normal) && seen.insert(name(&dep.pkg)) {
                open.extend(resolve.nodes.iter().find(|node| node.id == dep.pkg));
            }
        }
    }
    assert!(seen.contains("actix"), "the walk found no dependency at all");
    let reached: Vec<_> = ADAPTERS.iter().filter(|adapter| seen.contains(**adapter)).collect();
    assert!(reached.is_empty(), "actors/ depends on {reached:?}; adapters belong in src/");
}
