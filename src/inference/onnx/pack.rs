//! An installed model pack, and the checksums of its files.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use muster_actors::domain::exit::Remedy;
use muster_actors::errors::Class;
use muster_actors::errors::class::Classified;
use muster_actors::ports::engine::EngineError;
use sha2::{Digest, Sha256};

use super::home::Home;
use super::manifest::{File, MAX_FILE_BYTES, Manifest};
use crate::substitute::{self, Substitute};

/// Name of the pack that is used by default.
pub const DEFAULT_PACK: &str = "open";
/// Name under which a user may install a pack of their own.
pub(crate) const CUSTOM_PACK: &str = "custom";

const KNOWN: [(&str, &str); 3] = [
    ("open", include_str!("../../../config/models/open.toml")),
    ("edgeface", include_str!("../../../config/models/edgeface.toml")),
    ("insightface-s", include_str!("../../../config/models/insightface-s.toml")),
];

/// The reason why a pack cannot be used. The message says what is wrong and how to mend it.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// Neither a known name nor a folder with a manifest.
    #[error(
        "there is no model pack {0:?}: name one that `muster models list` shows, or a folder that holds a manifest.toml"
    )]
    Unknown(String),
    /// A file of the pack is missing.
    #[error("model file {} is missing. To mend it: {mend}", path.display())]
    Missing {
        /// Path of the file.
        path: PathBuf,
        /// Command or step by which the user can mend it.
        mend: String,
    },
    /// A file is not the one that the manifest names.
    #[error("model file {} has sha256 {found}, not {expected}. To mend it: {mend}", path.display())]
    Mismatch {
        /// Path of the file.
        path: PathBuf,
        /// Checksum in the manifest.
        expected: String,
        /// Checksum of the file.
        found: String,
        /// Command or step by which the user can mend it.
        mend: String,
    },
    /// The manifest is wrong.
    #[error("{}: {reason}", path.display())]
    Manifest {
        /// Path of the manifest.
        path: PathBuf,
        /// Reason why it is invalid.
        reason: String,
    },
    /// A file cannot be read.
    #[error("{}: {source}", path.display())]
    Io {
        /// Path of the file.
        path: PathBuf,
        /// Error of the system.
        source: io::Error,
    },
}

impl PackError {
    /// Returns the exit code of a process that ends because of this error (`EX_NOINPUT`).
    pub fn exit_code(&self) -> u8 {
        66
    }
}

impl Classified for PackError {
    fn class(&self) -> Class {
        Class::Misconfigured(Remedy::Model)
    }
}

impl From<PackError> for EngineError {
    fn from(error: PackError) -> Self {
        Self::Misconfigured(error.to_string())
    }
}

/// A model pack: its manifest, and the folder with its files. [`Pack::verify`] checks whether the files are there.
#[derive(Clone, Debug, PartialEq)]
pub struct Pack {
    manifest: Manifest,
    folder: PathBuf,
    known: bool,
}

impl Pack {
    /// Opens the pack `name`: a known one, `custom`, or the path of a folder with a `manifest.toml`.
    ///
    /// The manifest of a known pack is the one that is built into this program, so that a changed file is always
    /// noticed.
    ///
    /// # Errors
    /// [`PackError::Unknown`] when there is no such pack; [`PackError::Manifest`] or [`PackError::Io`] when its
    /// manifest is wrong or cannot be read.
    pub fn open(name: &str, home: &Home) -> Result<Self, PackError> {
        if let Some((name, text)) = KNOWN.iter().find(|(known, _)| *known == name) {
            let folder = home.models().join(name);
            let manifest = Manifest::parse(text).map_err(|reason| PackError::Manifest {
                path: PathBuf::from(format!("config/models/{name}.toml")),
                reason,
            })?;
            return Ok(Self { manifest, folder, known: true });
        }
        if let Some(substitute) = substitute::named(name) {
            return Self::substitute(substitute, home);
        }
        let named = home.models().join(name);
        let in_home = name == CUSTOM_PACK || (!name.contains('/') && named.join("manifest.toml").is_file());
        let folder = if in_home { named } else { PathBuf::from(name) };
        let path = folder.join("manifest.toml");
        let text = match read_limited(&path, 1 << 20) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(source)
                if name != CUSTOM_PACK
                    && matches!(source.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) =>
            {
                return Err(PackError::Unknown(name.to_string()));
            }
            Err(source) if source.kind() == io::ErrorKind::NotFound => {
                return Err(PackError::Missing { path, mend: "write one as docs/models.md shows".to_string() });
            }
            Err(source) => return Err(PackError::Io { path, source }),
        };
        let manifest = Manifest::parse(&text).map_err(|reason| PackError::Manifest { path, reason })?;
        Ok(Self { manifest, folder, known: false })
    }

    /// Opens an installed pack by its plain name: a known one, or one in the data folder. For names that come from a
    /// library or a caller, which choose no paths.
    ///
    /// # Errors
    /// [`PackError::Unknown`] when there is no such pack; else as [`Self::open`].
    pub fn installed(name: &str, home: &Home) -> Result<Self, PackError> {
        let is_plain = !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\\', '\0']);
        let is_here = || {
            KNOWN.iter().any(|(known, _)| *known == name)
                || substitute::named(name).is_some()
                || home.models().join(name).join("manifest.toml").is_file()
        };
        if is_plain && is_here() { Self::open(name, home) } else { Err(PackError::Unknown(name.to_owned())) }
    }

    /// Returns a pack without models, with the shape of the default one.
    fn substitute(substitute: &Substitute, home: &Home) -> Result<Self, PackError> {
        let mut pack = Self::open(DEFAULT_PACK, home)?;
        pack.manifest.name = substitute.name.to_owned();
        pack.manifest.grouping.similarity = substitute.similarity;
        (pack.manifest.accuracy, pack.manifest.speed) = (None, None);
        pack.manifest.files.clear();
        Ok(pack)
    }

    /// Returns the packs that this program knows, in the order in which they are listed.
    ///
    /// # Errors
    /// [`PackError::Manifest`] when a manifest that is built in is wrong.
    pub fn known(home: &Home) -> Result<Vec<Self>, PackError> {
        KNOWN.iter().map(|(name, _)| Self::open(name, home)).collect()
    }

    /// Returns the packs in the data folder that this program does not know, by name: the user's own, and those that
    /// were derived here.
    pub fn own(home: &Home) -> Vec<Self> {
        let names = fs::read_dir(home.models()).into_iter().flatten().flatten();
        let mut names: Vec<String> = names.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort();
        let own = |name: &String| !name.starts_with('.') && KNOWN.iter().all(|(known, _)| known != name);
        names.iter().filter(|name| own(name)).filter_map(|name| Self::open(name, home).ok()).collect()
    }

    /// Returns whether its manifest is built into this program.
    pub fn is_known(&self) -> bool {
        self.known
    }

    /// Returns its manifest.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Returns the folder of its files.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns name and version, as they are stored with every image: `open@1`.
    pub fn id(&self) -> String {
        format!("{}@{}", self.manifest.name, self.manifest.version)
    }

    /// Reads one of its files and checks its checksum.
    ///
    /// # Errors
    /// [`PackError`] when the file is not in the manifest, is missing, cannot be read, or has another checksum.
    pub fn read(&self, name: &str) -> Result<Vec<u8>, PackError> {
        let path = self.folder.join(name);
        let listed = self.manifest.files.iter().find(|file| file.file == name);
        let file = listed
            .ok_or_else(|| PackError::Manifest { path: path.clone(), reason: "not among [[files]]".to_string() })?;
        check(&path, file, || self.mend(name))
    }

    /// Reads every file and checks its checksum.
    ///
    /// # Errors
    /// [`PackError`] for the first file that is missing, cannot be read, or has another checksum.
    pub fn verify(&self) -> Result<(), PackError> {
        self.manifest.files.iter().try_for_each(|file| self.read(&file.file).map(drop))
    }

    fn mend(&self, file: &str) -> String {
        if self.known {
            format!("muster models pull {}", self.manifest.name)
        } else {
            let manifest = self.folder.join("manifest.toml");
            format!("put the right {file} there, or correct its sha256 in {}", manifest.display())
        }
    }
}

/// Returns the bytes of the file at `path` if their checksum is that of `file`.
pub(super) fn check(path: &Path, file: &File, mend: impl Fn() -> String) -> Result<Vec<u8>, PackError> {
    let path = path.to_path_buf();
    let bytes = match read_limited(&path, MAX_FILE_BYTES) {
        Ok(bytes) => bytes,
        Err(source) if source.kind() == io::ErrorKind::NotFound => {
            return Err(PackError::Missing { path, mend: mend() });
        }
        Err(source) => return Err(PackError::Io { path, source }),
    };
    let found = sha256(&bytes);
    if found == file.sha256 {
        Ok(bytes)
    } else {
        Err(PackError::Mismatch { path, expected: file.sha256.clone(), found, mend: mend() })
    }
}

/// Returns the SHA-256 of bytes in hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Reads a whole file if it has at most `limit` bytes.
pub(super) fn read_limited(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let file = fs::File::open(path)?;
    let size = file.metadata()?.len();
    if size > limit {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("{size} bytes, more than {limit}")));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
    file.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn custom(folder: &Path, detector: &[u8]) -> Home {
        let home = Home::new(folder);
        let pack = home.models().join(CUSTOM_PACK);
        fs::create_dir_all(&pack).unwrap();
        let text = KNOWN[0]
            .1
            .replace("8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4", &sha256(b"a detector"));
        fs::write(pack.join("manifest.toml"), text).unwrap();
        fs::write(pack.join("face_detection_yunet_2023mar.onnx"), detector).unwrap();
        home
    }

    #[test]
    fn known_packs_parse_under_their_own_name() {
        for ((name, _), pack) in KNOWN.iter().zip(Pack::known(&Home::new("/nowhere")).unwrap()) {
            assert_eq!(pack.manifest().name, *name);
            assert_eq!(pack.folder(), Path::new("/nowhere/models").join(name));
        }
        assert!(Pack::open(DEFAULT_PACK, &Home::new("/nowhere")).is_ok_and(|pack| !pack.manifest().non_commercial));
    }

    #[test]
    fn a_wrong_file_is_named_with_both_hashes_and_the_mend() {
        let folder = tempfile::tempdir().unwrap();
        let file = "face_detection_yunet_2023mar.onnx";
        let pack = Pack::open(CUSTOM_PACK, &custom(folder.path(), b"a detector")).unwrap();
        assert_eq!(pack.read(file).unwrap(), b"a detector");
        let pack = Pack::open(CUSTOM_PACK, &custom(folder.path(), b"another")).unwrap();
        let error = pack.read(file).unwrap_err();
        let text = error.to_string();
        for part in [file, &sha256(b"a detector"), &sha256(b"another"), "manifest.toml"] {
            assert!(text.contains(part), "{text}");
        }
        assert_eq!((error.class(), error.exit_code()), (Class::Misconfigured(Remedy::Model), 66));
    }

    #[test]
    fn a_missing_pack_says_how_to_get_it() {
        let home = Home::new("/nowhere");
        let error = Pack::open("edgeface", &home).unwrap().verify().unwrap_err();
        assert!(error.to_string().contains("muster models pull edgeface"), "{error}");
        assert!(matches!(Pack::open("nonsense", &home), Err(PackError::Unknown(_))));
        assert!(matches!(Pack::open(CUSTOM_PACK, &home), Err(PackError::Missing { .. })));
    }
}
