//! A derived pack in a temporary folder, before it is judged and moved into place.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{OptimizeError, OptimizeOptions};
use crate::onnx::derived_pack::{DerivedPack, Parity, Precision};
use crate::onnx::home::Home;
use crate::onnx::manifest::{File, Manifest};
use crate::onnx::pack::{Pack, sha256};

/// A derived pack that is not judged yet. Dropping it deletes its folder.
pub(super) struct DerivedPackDraft {
    folder: PathBuf,
    manifest: Manifest,
}

impl DerivedPackDraft {
    /// Returns the temporary folder.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn write(
        home: &Home,
        pack: &Pack,
        order: &OptimizeOptions,
        files: &BTreeMap<String, Vec<u8>>,
    ) -> Result<Self, OptimizeError> {
        let source = pack.manifest();
        let made = |(file, bytes): (&String, &Vec<u8>)| File {
            file: file.clone(),
            bytes: bytes.len() as u64,
            sha256: sha256(bytes),
            wheel: None,
            member: None,
        };
        let listed: Vec<File> = files.iter().map(made).collect();
        let hashes: String = listed.iter().map(|file| file.sha256.as_str()).collect();
        let manifest = Manifest {
            name: order.name.clone(),
            // Another derived pack of the same name has another version, because their vectors must
            // not be mixed.
            version: format!("{}-{}", source.version, &sha256(hashes.as_bytes())[..8]),
            source: format!("{}, made from {} by muster models optimize", source.source, pack.id()),
            product: Some(DerivedPack {
                of: pack.id(),
                precision: order.precision,
                target: (order.precision == Precision::Int8).then_some(order.target),
                judged: order.place.name().to_owned(),
                parity: Parity::default(),
            }),
            // Accuracy and speed were measured for the source. The figures of the parity gate say
            // how near the derived pack is.
            accuracy: None,
            speed: None,
            files: listed,
            wheels: Vec::new(),
            ..source.clone()
        };
        // The folder is beside the target, so that the rename stays on one file system.
        let folder = home.models().join(format!(".draft-{}-{}", order.name, std::process::id()));
        let draft = Self { folder, manifest };
        fs::create_dir_all(&draft.folder).map_err(at(&draft.folder))?;
        for (file, bytes) in files {
            let path = draft.folder.join(file);
            fs::write(&path, bytes).map_err(at(&path))?;
        }
        draft.write_manifest()?;
        Ok(draft)
    }

    fn write_manifest(&self) -> Result<(), OptimizeError> {
        let path = self.folder.join("manifest.toml");
        fs::write(&path, toml::to_string_pretty(&self.manifest).unwrap_or_default()).map_err(at(&path))
    }

    /// Moves the pack into place, with the figures of its judgement.
    pub(super) fn keep(mut self, target: &Path, parity: &Parity) -> Result<PathBuf, OptimizeError> {
        if let Some(product) = &mut self.manifest.product {
            product.parity = parity.clone();
        }
        self.write_manifest()?;
        if target.exists() {
            fs::remove_dir_all(target).map_err(at(target))?;
        }
        fs::rename(&self.folder, target).map_err(at(target))?;
        Ok(target.to_owned())
    }
}

impl Drop for DerivedPackDraft {
    fn drop(&mut self) {
        // If the pack was kept, the folder does not exist any more.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> OptimizeError {
    let path = path.to_owned();
    move |source| OptimizeError::Io { path, source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::execution_target::ExecutionTarget;
    use crate::onnx::graph::int8::QuantizationTarget;

    #[test]
    fn a_product_does_not_claim_what_was_measured_of_its_source() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::new(folder.path());
        let source = Pack::open("open", &home).unwrap();
        assert!(source.manifest().accuracy.is_some() && source.manifest().speed.is_some());
        let order = OptimizeOptions {
            precision: Precision::Int8,
            target: QuantizationTarget::AnyCpu,
            place: ExecutionTarget::Cpu,
            frames: 1,
            photos: PathBuf::new(),
            labelled: None,
            name: "open-int8".to_owned(),
        };
        let Manifest { detector, embedder, .. } = source.manifest();
        let files = [&detector.file, &embedder.file].map(|file| (file.clone(), b"a model".to_vec())).into();
        let draft = DerivedPackDraft::write(&home, &source, &order, &files).unwrap();
        let written = Manifest::parse(&fs::read_to_string(draft.folder().join("manifest.toml")).unwrap()).unwrap();
        assert_eq!((&written.accuracy, &written.speed), (&None, &None));
        assert_eq!(written.grouping, source.manifest().grouping);
    }
}
