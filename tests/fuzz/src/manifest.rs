//! Manifests of model packs and runtimes: what is accepted is within its ranges, stays in its folder, and is written and read back
//! the same.

use std::path::{Component, Path};

use muster_inference::onnx::manifest::{ALIGNED_SIDE, File, MAX_FILE_BYTES, Manifest, Runtime, Wheel};

/// One part of a path, and nothing that ends a line.
fn plain(name: &str) {
    let mut parts = Path::new(name).components();
    assert!(matches!((parts.next(), parts.next()), (Some(Component::Normal(part)), None) if part == name), "{name:?}");
    assert!(!name.chars().any(char::is_control), "{name:?}");
}

fn hash(text: &str) {
    assert!(text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte)));
}

fn parts(files: &[File], wheels: &[Wheel]) {
    for file in files {
        plain(&file.file);
        hash(&file.sha256);
        assert!(file.bytes <= MAX_FILE_BYTES);
        assert_eq!(file.wheel.is_some(), file.member.is_some());
        assert!(file.wheel.iter().all(|name| wheels.iter().any(|wheel| wheel.package == *name)));
    }
    for wheel in wheels {
        hash(&wheel.sha256);
        // A line of pip's requirements: no option, no second line.
        for word in [&wheel.package, &wheel.version] {
            let known = |c: char| c.is_ascii_alphanumeric() || "._-+!".contains(c);
            assert!(word.starts_with(|c: char| c.is_ascii_alphanumeric()) && word.chars().all(known), "{word:?}");
        }
    }
}

/// Bytes as a `manifest.toml`.
pub fn manifest(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    match Manifest::parse(&text) {
        Ok(read) => {
            let Manifest { detector, embedder, grouping, .. } = &read;
            plain(&read.name);
            plain(&read.version);
            parts(&read.files, &read.wheels);
            for name in [&detector.file, &embedder.file] {
                assert!(read.files.iter().any(|file| file.file == *name));
            }
            assert!((64..=4096).contains(&detector.side) && detector.side.is_multiple_of(32));
            assert_eq!(embedder.side, ALIGNED_SIDE);
            assert!((1..=8192).contains(&embedder.dimensions));
            for (mean, std) in [(detector.mean, detector.std), (embedder.mean, embedder.std)] {
                assert!(mean.is_finite() && std.is_finite() && std > 0.0);
            }
            assert!((0.0..=1.0).contains(&detector.min_score) && (0.0..=1.0).contains(&detector.nms));
            assert!((-1.0..=1.0).contains(&grouping.similarity));
            let accuracy = read.accuracy.clone().unwrap_or_default();
            let pairs = [accuracy.young, accuracy.young_to_grown].into_iter().flatten();
            let shares = pairs.flat_map(|pairs| [pairs.true_accept_rate, pairs.false_accept_rate]);
            for share in shares.chain(accuracy.grown.map(|groups| groups.b_cubed_f)) {
                assert!((0.0..=1.0).contains(&share));
            }
            assert!(read.speed.iter().all(|speed| speed.relative.is_finite() && speed.relative > 0.0));
            let written = toml::to_string_pretty(&read).expect("a manifest can be written");
            assert_eq!(Manifest::parse(&written), Ok(read), "{written}");
        }
        Err(fault) => assert!(!fault.is_empty()),
    }
    if let Ok(read) = Runtime::parse(&text) {
        plain(&read.name);
        plain(&read.library);
        parts(&read.files, &read.wheels);
        let written = toml::to_string_pretty(&read).expect("a manifest can be written");
        assert_eq!(Runtime::parse(&written), Ok(read), "{written}");
    }
}
